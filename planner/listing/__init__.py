"""List scheduling: a complete plan from one chronological pass over the due hosts, compiled to machine code.

At every moment at which a host returns, the pass tries the waiting hosts in their order and drains those that all
limits allow: every VM of the host gets a target, a rate and a start, or the host goes on waiting.  What has been
decided is never taken back, so a pass is fast; better plans come from better orders.

Capacity on a host is taken from the moment of the decision, at or before the migration's start, reserves by the slot of
time and links by the bucket, so what the pass accepts is never more than the limits allow.
"""
