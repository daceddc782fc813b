"""Output tables → figures: every donor visible, colour never alone, alt text computed from the data.

Nothing here estimates anything: numbers come from tables, drawing only draws.
"""
