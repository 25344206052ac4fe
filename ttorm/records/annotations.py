"""What a class body says of its names, on all versions of Python that ttorm runs on."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["annotations_in", "annotations_of"]

if sys.version_info >= (3, 14):
    # Annotations are evaluated when somebody asks; names that come later are forward references.
    import annotationlib
    from annotationlib import Format

    def annotations_in(namespace: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the annotations of a class body that is about to become a class."""
        annotate = annotationlib.get_annotate_from_class_namespace(namespace)
        if annotate is None:
            found: Mapping[str, Any] = namespace.get("__annotations__", {})
            return found
        return annotationlib.call_annotate_function(annotate, Format.FORWARDREF)

    def annotations_of(owner: type) -> Mapping[str, Any]:
        """Return the annotations that a class itself has."""
        return annotationlib.get_annotations(owner, format=Format.FORWARDREF)

else:

    def annotations_in(namespace: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the annotations of a class body that is about to become a class."""
        found: Mapping[str, Any] = namespace.get("__annotations__", {})
        return found

    def annotations_of(owner: type) -> Mapping[str, Any]:
        """Return the annotations that a class itself has."""
        return inspect.get_annotations(owner)
