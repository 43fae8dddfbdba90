"""What we know: records, the store, clips, and the pure steps between records.

No torch, no page.
"""
