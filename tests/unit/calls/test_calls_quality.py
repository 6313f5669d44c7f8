"""Figures of a call's quality: MOS falls with loss, with late packets, with delay; nothing heard has no figure."""

from __future__ import annotations

import pytest

from sivo.calls import quality


def stats(**fields: float) -> dict[str, float]:
    return {"packets_received": 1000, "lost": 0, "late": 0, "jitter_ms": 0.0, "buffer_ms": 60.0, **fields}


def test_a_clean_call_is_as_good_as_g711_gets() -> None:
    assert quality.mos(stats()) == pytest.approx(4.36, abs=0.03)


@pytest.mark.parametrize(("lost", "expected"), [(10, 4.28), (53, 3.84), (111, 3.31), (250, 2.53)])
def test_loss_costs_what_the_e_model_says(lost: int, expected: float) -> None:
    """R = 93.2 - 0.024 * 80 - 95 * Ppl / (Ppl + 25.1), by hand."""
    assert quality.mos(stats(lost=lost)) == pytest.approx(expected, abs=0.02)


def test_late_packets_cost_as_much_as_lost_ones() -> None:
    late = quality.mos({**stats(), "packets_received": 1050, "late": 50, "lost": 0})
    lost = quality.mos({**stats(), "packets_received": 1000, "late": 0, "lost": 50})
    assert late == lost


def test_delay_hurts_above_177_ms() -> None:
    near, far, moon = (quality.mos(stats(rtt_ms=rtt)) or 0 for rtt in (20.0, 300.0, 1000.0))
    assert near > far > moon
    assert near - far < 0.4 and far - moon > 1.0


def test_the_figures_of_a_leg() -> None:
    assert quality.of_leg(stats(lost=50, jitter_ms=12.5, rtt_ms=40.0)) == {
        "loss_percent": 4.76,
        "jitter_ms": 12.5,
        "rtt_ms": 40.0,
        "mos": quality.mos(stats(lost=50, rtt_ms=40.0)),
    }
    silent = quality.of_leg({"packets_received": 0})
    assert silent == {"loss_percent": None, "jitter_ms": None, "rtt_ms": None, "mos": None}


def test_mos_stays_on_its_scale() -> None:
    assert quality.mos(stats(lost=10_000_000, rtt_ms=2000.0)) == 1.0
