"""CTC with an ordered gradient against PyTorch's own, on the CPU: losses and gradients, at the edges too."""

import pytest
import torch
from torch.nn import functional as F

from stages.tasks.speech import BLANK
from stages.tasks.speech.training.ctc import OrderedCTC


def both(
    logits: torch.Tensor, targets: torch.Tensor, lengths: torch.Tensor, target_lengths: torch.Tensor
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """(losses, gradient of the logits) by PyTorch and by ours; each utterance's loss has a weight of its own."""
    results = []
    for ours in (False, True):
        leaf = logits.clone().requires_grad_()
        log_probs = leaf.log_softmax(2)
        if ours:
            losses = OrderedCTC.apply(log_probs, targets, lengths, target_lengths)
        else:
            losses = F.ctc_loss(
                log_probs, targets, lengths, target_lengths, blank=BLANK, reduction="none", zero_infinity=True
            )
        (losses * torch.arange(1, len(losses) + 1)).sum().backward()
        assert leaf.grad is not None
        results.append((losses.detach(), leaf.grad))
    return results


@pytest.mark.parametrize("seed", range(5))
def test_losses_and_gradients_are_pytorchs(seed: int) -> None:
    """Few classes make repeats frequent; some utterances have too few frames for their phonemes."""
    torch.manual_seed(seed)
    logits = 3 * torch.randn(12, 20, 5, dtype=torch.float64)
    lengths, target_lengths = torch.randint(1, 13, (20,)), torch.randint(0, 7, (20,))
    lengths[0] = 12
    theirs, ours = both(logits, torch.randint(1, 5, (20, 6)), lengths, target_lengths)
    assert (theirs[0] == 0).any() and (theirs[0] > 0).any()
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_the_padding_of_transcripts_does_not_matter() -> None:
    torch.manual_seed(0)
    logits, targets = torch.randn(9, 3, 4, dtype=torch.float64), torch.randint(1, 4, (3, 4))
    lengths, target_lengths = torch.tensor([9, 7, 5]), torch.tensor([4, 2, 1])
    padded = targets * (torch.arange(4) < target_lengths.unsqueeze(1))
    (one, first), (other, second) = (both(logits, symbols, lengths, target_lengths)[1] for symbols in (targets, padded))
    assert torch.equal(one, other) and torch.equal(first, second)


def test_in_float32_a_long_utterance_stays_near_float64() -> None:
    torch.manual_seed(0)
    logits, targets = 2 * torch.randn(300, 4, 41), torch.randint(1, 41, (4, 90))
    lengths, target_lengths = torch.tensor([300, 280, 300, 200]), torch.tensor([90, 90, 40, 60])
    (_, exact), _ = both(logits.double(), targets, lengths, target_lengths)
    theirs, ours = both(logits, targets, lengths, target_lengths)
    errors = [(found[1] - exact).abs().max().item() for found in (theirs, ours)]
    assert errors[1] < 2 * errors[0] < 0.02
