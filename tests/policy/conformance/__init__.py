"""CEL's own conformance cases (google/cel-spec), run through the engines. The cases lie outside of the project."""
