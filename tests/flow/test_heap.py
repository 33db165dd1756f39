"""What one pass frees is kept for the next."""

import os
import subprocess
import sys

import pytest

_FAULTS = """
import resource, sys, torch
from brittle import Network

if sys.argv[1] == "here":
    Network(torch.nn.Flatten(), device="cpu")

def faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def used() -> None:
    torch.zeros(2**24)  # 64 MiB, more than glibc keeps by itself

counts = []
for _ in range(15):
    before = faults()
    used()
    counts.append(faults() - before)
print(sorted(counts)[7])  # now and then the heap has still to find its size
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
@pytest.mark.parametrize(("said", "keeps"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "131072"}, False)])
def test_memory_of_a_pass_is_not_fetched_again_for_the_next(said: dict[str, str], keeps: bool) -> None:
    rest = {name: one for name, one in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_TUNABLES"))}

    def counted(where: str) -> int:
        command = [sys.executable, "-c", _FAULTS, where]
        done = subprocess.run(command, env=rest | said, capture_output=True, text=True, check=True)
        return int(done.stdout)

    there, here = counted("elsewhere"), counted("here")
    if there < 1000:
        pytest.skip("this system hands out large pages, or keeps what is freed by itself")
    assert (here < there / 100) == keeps
