"""What a workload is made of, in a form that both ends compute: here, and far from here.

The attester's side measures what runs; a relying party computes the same from what was published.
"""
