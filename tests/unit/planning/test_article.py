"""The worked examples of the article that the plan was made from.

It states sums and a rule (all resident models and 15%), not each model's size. Its figures come out with the
sizes below: parameters as the models' cards say, and KV caches of 0, 48 k, 32 k and 32 k tokens.
"""

from __future__ import annotations

import pytest

from naiad.planning.model_size import ModelSize, stated_size
from naiad.planning.prices import read_prices
from naiad.planning.right_size import GB, Plan, make_plan

LLAMA_70B = "llama-3.3-70b,params=70.55B,dtype=int4"
LLAMA_70B_KV = LLAMA_70B + ",layers=80,kv-heads=8,head-dim=128,kv-tokens=32768"
LLAMA_8B_KV = "llama-3.1-8b,params=8.03B,dtype=fp8,layers=32,kv-heads=8,head-dim=128,kv-tokens=49152"
LLAMA_11B_KV = "llama-3.2-11b,params=10.67B,dtype=bf16,layers=32,kv-heads=8,head-dim=128,kv-tokens=32768"
BGE = "bge-m3,params=568M,dtype=fp16"
CLIP = "clip,size=600MB"
BERT = "bert,size=1GB"


def plan(*models: str) -> Plan:
    return make_plan([stated_size(text) for text in models], read_prices())


def fits(made: Plan) -> list[str]:
    return [choice.gpu.name for choice in made.choices if choice.cards == 1]


@pytest.mark.parametrize(
    ("models", "about_gb", "recommended"),
    [
        ((LLAMA_70B,), 40, "H100 80GB PCIe"),
        ((LLAMA_8B_KV, BGE), 18, "L40S"),
        ((LLAMA_11B_KV, CLIP), 30, "A100 80GB PCIe"),
        ((LLAMA_70B_KV, CLIP, BERT), 55, "H100 80GB PCIe"),
    ],
    ids=["LLM only", "LLM + embeddings", "LLM + vision", "full stack"],
)
def test_the_setups_of_its_table(models: tuple[str, ...], about_gb: int, recommended: str) -> None:
    made = plan(*models)
    assert made.total_bytes / GB == pytest.approx(about_gb, abs=0.65)
    assert recommended in fits(made)


def test_a_reranker_an_encoder_and_an_8b_model_fit_well_under_48_gb() -> None:
    made = plan(BERT, CLIP, "llama-3.1-8b,size=8GB")
    assert made.total_bytes == pytest.approx(1.15 * 9.6 * GB)
    assert made.best is not None and made.best.gpu.name == "L40S" and made.best.on_demand == 0.72


def test_a_model_above_40_gb_needs_a_card_of_80() -> None:
    made = plan(LLAMA_70B)
    assert "L40S" not in fits(made) and 40 < made.total_bytes / GB < 48
    assert made.cheapest_on_demand is not None and made.cheapest_on_demand.gpu.name == "A100 80GB PCIe"


def test_eight_bits_of_70b_fit_no_card_of_80_gb() -> None:
    """The article calls its 40 GB "FP8"; a byte for each of 70.55 billion weights is twice that."""
    made = plan("llama-3.3-70b,params=70.55B,dtype=fp8")
    assert made.total_bytes / GB == pytest.approx(81.1, abs=0.1)
    assert fits(made) == ["B200 SXM6", "H200"]


def test_stacks_above_130_gb() -> None:
    made = plan("a,size=70GB", "b,size=50GB")
    assert made.total_bytes / GB == pytest.approx(138)
    assert fits(made) == ["B200 SXM6", "H200"]


def test_spot_is_for_what_can_be_interrupted() -> None:
    models: list[ModelSize] = [stated_size("a,size=100GB")]
    live = make_plan(models, read_prices(), "realtime")
    assert live.best is not None and live.best.gpu.name == "B200 SXM6" and not live.best_is_spot
    assert any("200 s" in warning for warning in live.warnings)
    batch = make_plan(models, read_prices(), "batch")
    assert batch.best is not None and batch.best.gpu.name == "B200 SXM6" and batch.best_is_spot
    assert batch.best.spot == 1.71


def test_the_prices_are_those_of_the_article_with_its_date() -> None:
    prices = read_prices()
    assert prices.date.isoformat() == "2026-04-12"
    assert {gpu.name: (gpu.memory_gb, gpu.on_demand, gpu.spot) for gpu in prices.gpus} == {
        "L40S": (48, 0.72, None),
        "A100 80GB PCIe": (80, 1.07, None),
        "H100 80GB PCIe": (80, 2.01, None),
        "H100 SXM5": (80, 4.41, None),
        "H200": (141, None, None),
        "B200 SXM6": (192, 7.43, 1.71),
    }
