"""Puts the pod that an alert is about beside it: not the pod that printed it, which is always Falco.

The pipeline asks for a fragment by what the alert says, appends its bytes, and counts its result. This
package keeps the pods of the node known, through the API server or from a file; it never touches an
alert's own bytes, and no trouble with the API ever stops or fails a caller.
"""
