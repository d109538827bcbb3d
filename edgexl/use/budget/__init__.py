"""Compile to a budget: the best bundle that answers in so many milliseconds, and takes so much memory and so many
bytes. Each stage's options are measured once, their combinations foretold, and the best few of these verified.
"""
