#pragma once

#include "gltf_document.h"

namespace omni::geometry {

// Refuses a document, by name, for an extension that says something of geometry which is not read: one that
// it requires and is not known to leave geometry alone, or one of a primitive, mesh, accessor, buffer or
// node, also where it is only used. What may say anything, such as a company's own extension of a node, is
// noted.
void check_gltf_extensions(GltfDocument& document);

}  // namespace omni::geometry
