"""
The credential helpers of docker and of the kubelet.

Not here: the controller; the helpers start without it.
"""
