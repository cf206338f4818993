import pytest
import torch
from torch._dynamo.testing import CompileCounter

from avsim.diffusion import Pair
from tests.diffusion.conftest import COUPLINGS, SPEC, levels, tokens


def passes(model) -> Pair:
    return model(tokens(model, 2), levels(2), model.context(["a", "b"], SPEC))


@pytest.mark.slow
@pytest.mark.parametrize("coupling", COUPLINGS)
def test_one_compilation_serves_all_blocks_in_eval_and_one_in_training(make, coupling):
    torch._dynamo.reset()
    model, counter = make(coupling, blocks=4), CompileCounter()
    plain = passes(model)
    model.compile(backend=counter, fullgraph=True)  # a graph break would raise
    with torch.no_grad():
        compiled = passes(model)
    assert counter.frame_count == 1
    for one, other in zip(plain, compiled, strict=True):
        torch.testing.assert_close(one, other)
    model.train()
    for _ in range(2):
        sum(v.sum() for v in passes(model)).backward()
    assert counter.frame_count == 2


@pytest.mark.slow
def test_the_whole_forward_compiles_as_one_graph(make):
    torch._dynamo.reset()
    model = make()
    x, s, context = tokens(model, 2), levels(2), model.context(["a", "b"], SPEC)
    compiled = torch.compile(model, fullgraph=True)
    with torch.no_grad():
        plain, fast = model(x, s, context), compiled(x, s, context)
    for one, other in zip(plain, fast, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)
    sum(v.square().sum() for v in compiled(x, s, context)).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.hidden_matrices())
