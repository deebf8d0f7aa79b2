"""The JSON Schema of `alerting.yaml`, for editors. Generated from the shape: `python -m alert_bridge.policy.schema`."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from alert_bridge.policy.shape import OPTIONAL_SECTIONS, PolicyShape

__all__ = ["document", "packaged_path"]


def packaged_path() -> Path:
    """Where the generated file lies."""
    return Path(__file__).with_name("alerting.schema.json")


def document() -> str:
    """The schema as the text that the file must have."""
    schema = PolicyShape.model_json_schema(by_alias=True, schema_generator=_ForEditors)
    properties = schema["properties"]
    for section in OPTIONAL_SECTIONS:  # all its lines may be commented out
        properties[section] = {"anyOf": [properties[section], {"type": "null"}]}
    return json.dumps({"$schema": GenerateJsonSchema.schema_dialect, **schema}, indent=1, ensure_ascii=False) + "\n"


class _ForEditors(GenerateJsonSchema):
    """What a person may write, where pydantic's own says what a program may hold."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """A key that may be left out may not be left empty."""
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Defaults are seconds and numbers here, and texts in the file."""
        return self.generate_inner(schema["schema"])

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        """A key that fits no pattern is wrong."""
        result = super().dict_schema(schema)
        return {**result, "additionalProperties": False} if "patternProperties" in result else result

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the signature is pydantic's
        """A key is its own title."""
        return False


if __name__ == "__main__":
    packaged_path().write_text(document(), encoding="utf-8")
