from pathlib import Path

import pytest
import yaml
from jsonargparse import ArgumentParser
from lightning import LightningModule

from avsim.models.couplings import CrossCoupling, JointCoupling, NoCoupling, SingleCoupling

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.mark.parametrize(
    "name, coupling",
    [("none", NoCoupling), ("cross", CrossCoupling), ("joint", JointCoupling), ("single", SingleCoupling)],
)
def test_a_coupling_is_a_file_of_its_own(name, coupling, tmp_path):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(LightningModule, "model")
    parser.add_argument("--config", action="config")
    arguments = []
    for file in ("generator.yaml", f"coupling/{name}.yaml"):
        written = yaml.safe_load((CONFIGS / file).read_text())
        part = tmp_path / file.replace("/", "-")
        part.write_text(yaml.safe_dump({"model": written["model"]}))
        arguments += ["--config", str(part)]
    system = parser.instantiate_classes(parser.parse_args(arguments)).model
    assert system.model.coupling is coupling
    assert system.recipe.matrix_learning_rate == 2e-3 and system.codecs["video_codec"] == "runs/video_codec"
    assert len(system.model.blocks) == 6
