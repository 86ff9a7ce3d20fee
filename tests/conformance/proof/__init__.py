"""The parts of the conformance proof that `run.py` puts together."""
