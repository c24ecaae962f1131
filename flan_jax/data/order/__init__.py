"""Which examples of prepared data stand in which row of which step, by arithmetic.

`plan.Plan` answers for any step from the examples' lengths, `iterator.PreparedIterator` reads them;
docs/order.md says how and what holds.
"""
