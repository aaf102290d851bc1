"""Schema: the sections of a search space's file, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic import model_validator as section_rule

from explorer.objectives import Constraint, Objective
from explorer.records import Width
from explorer.space import rules
from explorer.space.duration import duration_s
from explorer.space.goals import read_constraints, read_objectives
from explorer.space.refusal import Refused

_DEFAULT_VALIDATION = {"cifar10": 5000, "digits": 300}
_DEFAULT_CALIBRATION = {"digits": 128}
_MAX_IMAGES = 100_000_000
_MAX_USD = 1e9

Name = Annotated[str, AfterValidator(rules.check_name)]
Sampler = Annotated[str, AfterValidator(rules.known_sampler)]
Trials = Annotated[int, Field(ge=1, le=1_000_000)]
Timeout = Annotated[float, PlainValidator(duration_s)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # the range of NumPy's legacy seeds, which samplers take
_Images = Annotated[int, Field(ge=1, le=_MAX_IMAGES)]
_Usd = Annotated[float, Field(ge=0, le=_MAX_USD), AfterValidator(rules.unsigned_zero)]
_Optional = BeforeValidator(rules.given)


class Section(BaseModel):
    """A mapping of the file: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataSection(Section):
    """Which images. What is left out has a default that depends on the data set."""

    name: Annotated[str, AfterValidator(rules.known_dataset)]
    validation: Annotated[_Images | None, _Optional] = None
    calibration: Annotated[_Images | None, _Optional] = None
    path: Annotated[Annotated[str, AfterValidator(rules.not_empty)] | None, _Optional] = None

    @section_rule(mode="after")
    def _path_belongs_to_folders(self) -> Self:
        if self.name == "image_folder" and self.path is None:
            raise Refused("image_folder needs a 'path': the folder that holds train/ and test/")
        if self.name != "image_folder" and self.path is not None:
            raise Refused(f"only image_folder takes a path; remove it, {self.name} is found by name", at=("path",))
        if self.validation is None and self.name not in _DEFAULT_VALIDATION:
            raise Refused(f"{self.name} needs 'validation': how many training images the search may see")
        return self

    @property
    def n_validation(self) -> int:
        """Images held out of the training split."""
        return _DEFAULT_VALIDATION[self.name] if self.validation is None else self.validation

    @property
    def n_calibration(self) -> int:
        """Training images that quantization is calibrated on."""
        return _DEFAULT_CALIBRATION.get(self.name, 512) if self.calibration is None else self.calibration


class TrainingSection(Section):
    """Where the base network's weights come from: the package, or a recipe. Neither: the model's default recipe."""

    recipe: Annotated[Annotated[str, AfterValidator(rules.known_recipe)] | None, _Optional] = None
    weights: Annotated[Annotated[str, AfterValidator(rules.known_weights)] | None, _Optional] = None

    @section_rule(mode="after")
    def _one_of_both(self) -> Self:
        if self.recipe is not None and self.weights is not None:
            raise Refused("these weights are trained already; remove 'weights' or 'recipe'", at=("recipe",))
        return self


class RecoverySection(Section):
    """The fine-tune after pruning."""

    steps: Annotated[int, Field(ge=0, le=10_000)] = 30  # the shipped weights' model card has the table behind it


class ParametersSection(Section):
    """The values that each field of a variant may take; what is left out is fixed at the baseline's."""

    width: Annotated[tuple[Width, ...], PlainValidator(rules.width_values)] = (1.0,)
    pruning_ratio: Annotated[tuple[float, ...], PlainValidator(rules.ratio_values)] = (0.0,)
    quantization: Annotated[tuple[str, ...], PlainValidator(rules.quantization_values)] = ("none",)
    runtime: Annotated[tuple[str, ...], PlainValidator(rules.runtime_values)] = ("eager",)
    exit_threshold: Annotated[tuple[float, ...], PlainValidator(rules.threshold_values)] = (1.0,)
    batch_size: Annotated[tuple[float, ...], PlainValidator(rules.batch_size_values)] = (1,)
    threads: Annotated[tuple[float, ...], PlainValidator(rules.thread_values)] = (1,)


def _something_can_be_executed(parameters: ParametersSection, info: rules.Info) -> ParametersSection:
    rules.check_executions(
        parameters.runtime,
        parameters.quantization,
        "quantization" if "quantization" in parameters.model_fields_set else "runtime",
        info,
    )
    return parameters


class SearchSection(Section):
    """How variants are proposed, and when to stop."""

    sampler: Sampler = "tpe"
    trials: Trials = 60
    timeout: Annotated[Timeout | None, _Optional] = None
    seed: Seed = 0


class DeviceSection(Section):
    """The device and its prices."""

    name: Name = "local"
    hardware_usd_per_hour: _Usd = 0.05
    memory_usd_per_gib_hour: _Usd = 0.005
    other_usd_per_million: _Usd = 0.0


class SpaceSection(Section):
    """The whole file."""

    name: Name
    model: Annotated[str, AfterValidator(rules.known_model)]
    training: TrainingSection = TrainingSection()
    recovery: RecoverySection = RecoverySection()
    data: DataSection
    parameters: Annotated[ParametersSection, AfterValidator(_something_can_be_executed)] = ParametersSection()
    objectives: Annotated[tuple[Objective, ...], PlainValidator(read_objectives)]
    constraints: Annotated[tuple[Constraint, ...], PlainValidator(read_constraints)] = ()
    search: SearchSection = SearchSection()
    device: DeviceSection = DeviceSection()

    @section_rule(mode="after")
    def _shipped_weights_know_the_data(self, info: ValidationInfo[rules.Rules]) -> Self:
        if self.training.weights is not None:
            rules.check_shipped_for(self.data.name, info)
        return self
