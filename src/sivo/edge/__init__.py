"""The edge in front of several nodes: Kamailio and rtpengine (decision record 0018).

``trust`` is the node's side: what an edge says about the sender of a request. The rest writes the configuration of
an edge from the database.
"""
