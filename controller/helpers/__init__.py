"""
The credential helpers of docker and of the kubelet.

Not here: the controller (`running`).  The helpers start without it.
"""
