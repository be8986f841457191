"""
The commands beside the tests: arguments, help and output.

Not here: what they compute (`changes`, `replay`, `usage`, `analysis`).
"""
