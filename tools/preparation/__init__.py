"""What `make` needs on a machine, and how it gets there: behind tools/bootstrap.py and demo.py."""
