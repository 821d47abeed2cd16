"""Primitives for waiting: a byte budget, turns of the event loop, a pace, and send slots that adapt.

They know nothing of log files or CloudWatch. State changes only in synchronous methods on the event loop's thread, so
there are no locks, and cancelling a waiter is always safe.
"""
