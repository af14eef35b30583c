"""What the scheduler is made of: the books that it keeps, and who changes them.

The books say where every migration and host is.  Each part has one duty and works on the same books: take note of what
others tell, begin what may begin, give up what can no longer happen, see what has ended.
"""
