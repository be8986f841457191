"""
The Kubernetes side: the controller and the kubelet and docker credential helpers.

What lives here: programs that speak the Kubernetes API or a credential-helper protocol and host
the engine.  Not here: a decision about access, which is `regauth.engine`'s alone.
"""
