"""What a widget repairs in the kernel that it is made in."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

BURSTS, IN_A_BURST = 60, 4


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_a_request_that_arrives_during_a_reply_is_answered(kernel: BlockingKernelClient):
    code = "import hookscope as hs\neditor = hs.PromptPairEditor(hs.load_model())"
    made = kernel.execute_interactive(code, timeout=120)
    assert made["content"]["status"] == "ok"
    for burst in range(BURSTS):
        sent = set()
        for _ in range(IN_A_BURST):
            sent.add(kernel.execute("pass", silent=True))
            time.sleep(0.0002 * (burst % 20))  # so that some request arrives just when a reply is sent
        while sent:
            reply = kernel.get_shell_msg(timeout=60)  # ends in an error if a request is lost
            sent.discard(reply["parent_header"]["msg_id"])
