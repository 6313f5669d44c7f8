"""Python imports this by itself when this folder is on PYTHONPATH: every process of a mutation run, nobody else."""

import os

if os.environ.get("SIVO_TEST_MUTATION_FILE"):
    import mutation_patches

    mutation_patches.install()
