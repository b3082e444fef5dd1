#pragma once

#include <filesystem>
#include <string>

namespace omni::geometry {

// What a mesh file says of other files. `folder` is the mesh's own: nothing outside of it is read, also not
// through links. Percent-encoding and back slashes are understood. Both throw Error(input) that names the
// mesh `name` and the reference.

// A file that the mesh cannot do without: in `folder` or below it, exactly where the reference says.
std::filesystem::path resolve_reference(const std::string& reference, const std::filesystem::path& folder,
                                        const std::string& name);

// A file that the mesh can do without, such as a texture, and that is therefore looked for: from `within`
// (below `folder`, where the file that names it lies), from `folder`, and by its base name in both, since
// exporters write where it lay on their author's machine; in any case of letters.
std::filesystem::path find_optional_file(const std::string& reference, const std::filesystem::path& folder,
                                         const std::filesystem::path& within, const std::string& name);

}  // namespace omni::geometry
