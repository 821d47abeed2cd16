"""Waiting, with no domain in it: a byte budget, turns of the event loop, a pace, and send slots that adapt.

All state changes in synchronous methods on the thread of the event loop, so there are no locks. Cancelling a waiter is
always safe.
"""
