"""A plan's migrations carried out on paper under constants per host and per cluster, streams sharing the links.

Others start N migrations a host and M a cluster, whatever the links.  The same moves in the same order are executed
here under such a rule: streams share links max-min fairly, rates change whenever a stream starts or ends, and the
pre-copy model of :mod:`slacktide.planner.precopy` goes on at the rate of the moment.  What differs from the plan is
then the handling of bandwidth alone.
"""
