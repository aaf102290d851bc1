from explorer.space.schema import Section, SpaceSection


def _sections(section: type[Section]) -> set[type[Section]]:
    inner = {field.annotation for field in section.model_fields.values()}
    nested = {kind for kind in inner if isinstance(kind, type) and issubclass(kind, Section)}
    return {section}.union(*map(_sections, nested))


def test_every_section_refuses_unknown_keys_and_conversions() -> None:
    sections = _sections(SpaceSection)
    assert len(sections) == 7
    for section in sections:
        assert section.model_config["extra"] == "forbid"
        assert section.model_config["strict"] is True
