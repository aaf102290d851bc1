"""Schema: the sections of a search space's file, its objectives and constraints, as pydantic models."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationInfo
from pydantic import model_validator as section_rule

from explorer.metrics import METRICS, Constraint, Objective
from explorer.parameters import Value
from explorer.space import rules
from explorer.space.expressions import check_limits, parse_constraint, parse_duration, ratio
from explorer.space.input_spec import InputSpec, read_input
from explorer.space.refusal import Place, Refused, check_choice, described, inside, listed, nearest, quoted
from explorer.space.values import DEFAULT_SCENARIO, default_calibration
from explorer.tasks.task import DEFAULT_TASK, task_named


def read_objectives(raw: Any) -> tuple[Objective, ...]:
    """Return the objectives of a mapping from metric to direction. Raises Refused."""
    if not isinstance(raw, dict):
        raise Refused(f"expected a mapping such as 'accuracy: maximize', got {described(raw)}")
    if not raw:
        known = listed(METRICS, "and")
        raise Refused(f"expected at least one objective, such as 'accuracy: maximize'; the metrics are {known}")
    return tuple(_objective(metric, direction) for metric, direction in raw.items())


def _objective(name: str, direction: Any) -> Objective:
    metric = METRICS.get(name)
    if metric is None:
        raise Refused(
            f"{quoted(name)} is no metric; the metrics are {listed(METRICS, 'and')}",
            at=(name,),
            hint=nearest(name, METRICS),
            is_key=True,
        )
    if direction is None:
        raise Refused(f"the direction is missing; write '{name}: {metric.direction}'", at=(name,), is_key=True)
    with inside(name):
        check_choice(direction, ("minimize", "maximize"), "a direction")
    if direction != metric.direction:
        raise Refused(
            f"{direction} is the worse direction of this metric; write '{name}: {metric.direction}'", at=(name,)
        )
    return Objective(name, metric.direction)


def read_constraints(raw: Any) -> tuple[Constraint, ...]:
    """Return the constraints of a list of expressions. Raises Refused, also for contradictory ones."""
    if not isinstance(raw, list):
        raise Refused(f"expected a list of lines such as '- latency_ms <= 1.5', got {described(raw)}")
    limits = []
    for index, text in enumerate(raw):
        with inside(index):
            limits.append(parse_constraint(text))
    check_limits(limits)
    return tuple(limits)


_DEFAULT_VALIDATION = {"cifar10": 5000, "digits": 300, "cluttered_digits": 2000}
_MAX_EXAMPLES = 100_000_000
_MAX_USD = 1e9

Name = Annotated[str, AfterValidator(rules.check_name)]
Sampler = Annotated[str, AfterValidator(rules.one_of("samplers", "a sampler"))]
Trials = Annotated[int, Field(ge=1, le=1_000_000)]
Timeout = Annotated[float, PlainValidator(parse_duration)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]  # the range of NumPy's legacy seeds, which samplers take
_Count = Annotated[int, Field(ge=1, le=_MAX_EXAMPLES)]
_Usd = Annotated[
    float, Field(ge=0, le=_MAX_USD), AfterValidator(lambda value: value + 0.0)
]  # -0.0 becomes 0.0: equal fingerprints
_Optional = BeforeValidator(rules.given)


class Section(BaseModel):
    """A mapping of the file: no other keys, no conversions."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataSection(Section):
    """The data set. Defaults depend on its name."""

    name: Annotated[str, AfterValidator(rules.one_of("datasets", "a data set"))]
    validation: Annotated[_Count | None, _Optional] = None
    calibration: Annotated[_Count | None, _Optional] = None
    path: Annotated[Annotated[str, AfterValidator(rules.not_empty)] | None, _Optional] = None

    @section_rule(mode="after")
    def _path_belongs_to_folders(self) -> Self:
        if self.name == "image_folder" and self.path is None:
            raise Refused("image_folder needs a 'path': the folder that holds train/ and test/")
        if self.name != "image_folder" and self.path is not None:
            raise Refused(f"only image_folder takes a path; remove it, {self.name} is found by name", at=("path",))
        if self.validation is None and self.name not in _DEFAULT_VALIDATION:
            raise Refused(f"{self.name} needs 'validation': how many training examples the search may see")
        return self

    @property
    def n_validation(self) -> int:
        """Examples held out of the training split."""
        return _DEFAULT_VALIDATION[self.name] if self.validation is None else self.validation

    @property
    def n_calibration(self) -> int:
        """Training examples for the calibration of quantization."""
        return default_calibration(self.name) if self.calibration is None else self.calibration


class TrainingSection(Section):
    """The source of the base network's weights: the package, or a recipe. Neither: the model's default recipe."""

    recipe: Annotated[Annotated[str, AfterValidator(rules.known_recipe)] | None, _Optional] = None
    weights: Annotated[Annotated[str, AfterValidator(rules.known_weights)] | None, _Optional] = None

    @section_rule(mode="after")
    def _one_of_both(self) -> Self:
        if self.recipe is not None and self.weights is not None:
            raise Refused("these weights are trained already; remove 'weights' or 'recipe'", at=("recipe",))
        return self


class RecoverySection(Section):
    """The recovery fine-tune after pruning."""

    steps: Annotated[int, Field(ge=0, le=10_000)] = 30  # measured: see the table in the shipped weights' model card


class SearchSection(Section):
    """The sampler and the stopping rule."""

    sampler: Sampler = "tpe"
    trials: Trials = 60
    timeout: Annotated[Timeout | None, _Optional] = None
    seed: Seed = 0


class MeasureSection(Section):
    """How precise latencies have to be, and how long one measurement may take."""

    precision: Annotated[float, PlainValidator(ratio), Field(ge=0.001, le=0.5)] = 0.01
    at_most: Annotated[float, PlainValidator(parse_duration), Field(ge=1, le=240)] = 20.0


class DeviceSection(Section):
    """The device and its prices."""

    name: Name = "local"
    hardware_usd_per_hour: _Usd = 0.05
    memory_usd_per_gib_hour: _Usd = 0.005
    other_usd_per_million: _Usd = 0.0


class SpaceSection(Section):
    """The whole file."""

    name: Name
    task: Annotated[str, AfterValidator(rules.known_task)] = DEFAULT_TASK
    model: Annotated[str, AfterValidator(rules.known_model)]
    input: Annotated[Annotated[InputSpec | None, PlainValidator(read_input)], _Optional] = None
    training: TrainingSection = TrainingSection()
    recovery: RecoverySection = RecoverySection()
    data: DataSection
    parameters: Annotated[dict[str, tuple[Value, ...]], PlainValidator(rules.read_parameters)] = Field(
        default={}, validate_default=True
    )
    scenario: Annotated[str, AfterValidator(rules.one_of("scenarios", "a scenario"))] = DEFAULT_SCENARIO
    objectives: Annotated[tuple[Objective, ...], PlainValidator(read_objectives)]
    constraints: Annotated[tuple[Constraint, ...], PlainValidator(read_constraints)] = ()
    search: SearchSection = SearchSection()
    device: DeviceSection = DeviceSection()
    measure: MeasureSection = MeasureSection()

    @section_rule(mode="after")
    def _shipped_weights_know_the_data(self, info: ValidationInfo[rules.Rules]) -> Self:
        if self.training.weights is not None:
            rules.check_shipped_for(self.data.name, info)
        return self

    @section_rule(mode="after")
    def _task_has_its_model_and_metrics(self, info: ValidationInfo[rules.Rules]) -> Self:
        task = task_named(self.task)
        rules.check_model(self.model, self.input, task, info)
        own = [metric.name for metric in task.metrics]
        places: list[tuple[Place, str]] = [(("objectives", o.metric), o.metric) for o in self.objectives]
        places += [(("constraints", index), limit.metric) for index, limit in enumerate(self.constraints)]
        for place, name in places:
            if METRICS[name].origin == "task" and name not in own:
                raise Refused(
                    f"{quoted(name)} is a metric of another task than {task.name}, which has {listed(own, 'and')}",
                    at=place,
                )
        return self
