"""The mapping table: for each option of Fluent Bit one rule, which says what becomes of the option.

One module a plugin. Facts about Fluent Bit are those of its documentation (fluent/fluent-bit-docs, 2026-08) and of the
threads that a sentence names, such as fluent-bit#2846.
"""
