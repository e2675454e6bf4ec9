"""What the process runs on: device, threads, memory, and the facts that every figure carries.

Foundation. torch is imported inside the functions that need it, so that `--help` stays fast.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from importlib import metadata
from typing import Any

from .errors import DeviceError, UnknownNameError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str = "auto") -> str:
    """The device to use: `auto` is CUDA where there is one, else the CPU.

    Raises:
        UnknownNameError: not one of `DEVICES` (or `cuda:N`).
        DeviceError: CUDA was asked for and is not there.
    """
    import torch

    if name not in DEVICES and not name.startswith("cuda:"):
        raise UnknownNameError("device", name, DEVICES)
    available = torch.cuda.is_available()
    if name == "auto":
        return "cuda" if available else "cpu"
    if name.startswith("cuda"):
        index = int(name.partition(":")[2] or 0)
        if not available or index >= torch.cuda.device_count():
            count = torch.cuda.device_count() if available else 0
            raise DeviceError(
                f"device {name!r} was asked for but this machine has {count} CUDA devices",
                hint="use --device cpu or --device auto",
            )
    return name


def set_threads(count: int) -> None:
    """Pin torch, faiss and NumPy's BLAS to `count` threads for this process."""
    import faiss
    import torch

    os.environ["OMP_NUM_THREADS"] = str(count)
    torch.set_num_threads(count)
    faiss.omp_set_num_threads(count)


def cpu_time_s() -> float:
    """CPU seconds this process has used so far."""
    return time.process_time()


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def device_use_percent(device: str) -> int | None:
    """Share of the last moment in which a CUDA device computed, by NVML; None without one or without nvidia-ml-py."""
    import torch

    if not device.startswith("cuda"):
        return None
    try:
        return int(torch.cuda.utilization(torch.device(device)))
    except (ModuleNotFoundError, RuntimeError):  # no nvidia-ml-py; no driver that answers it
        return None


def machine_facts() -> dict[str, Any]:
    """Processor, cores, Python and the versions that figures depend on."""
    processor = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
        processor = names[0] if names else processor
    except OSError:
        pass
    versions = {name: metadata.version(name) for name in ("torch", "numpy", "faiss-cpu", "streamlit")}
    return {
        "processor": processor,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        **versions,
    }
