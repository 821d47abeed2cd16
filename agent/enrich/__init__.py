"""Pod metadata for alerts: the metadata of the pod that the alert is about, never of the Falco pod that logged it.

A source (`kube_watch` for the API server, `pod_file` for a file) keeps the pods of this node in the cache. The
pipeline asks the enricher for a fragment, appends its bytes to the alert and counts its result. This package never
changes the bytes of an alert, and no failure of the API server stops or fails its caller.
"""
