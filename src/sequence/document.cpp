#include "omni/sequence/document.h"

#include "omni/core/error.h"

namespace omni::sequence {

std::string_view modality_name(Modality modality) {
  switch (modality) {
    case Modality::text:
      return "text";
    case Modality::image:
      return "image";
    case Modality::shape:
      return "shape";
  }
  fail(ErrorKind::internal, "internal error: no modality has the number ", static_cast<int>(modality));
}

Modality parse_modality(std::string_view name) {
  for (const Modality modality : kModalities) {
    if (name == modality_name(modality)) return modality;
  }
  fail(ErrorKind::usage, "reading a modality: \"", name, "\" is not one. Choose text, image or shape.");
}

Payload empty_payload(Modality modality) {
  switch (modality) {
    case Modality::text:
      return TextPayload{};
    case Modality::image:
      return ImagePayload{};
    case Modality::shape:
      return ShapePayload{};
  }
  fail(ErrorKind::internal, "internal error: no modality has the number ", static_cast<int>(modality));
}

}  // namespace omni::sequence
