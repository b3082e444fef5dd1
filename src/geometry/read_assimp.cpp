#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <assimp/IOSystem.hpp>
#include <assimp/Importer.hpp>

#include <cmath>
#include <map>

#include "matrix4.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/isolation.h"
#include "omni/core/log.h"
#include "texture.h"

namespace omni::geometry {
namespace {

// Formats that name other files get none: only the bytes at hand are read.
class ClosedFileSystem : public Assimp::IOSystem {
 public:
  bool Exists(const char*) const override { return false; }
  char getOsSeparator() const override { return '/'; }
  Assimp::IOStream* Open(const char*, const char*) override { return nullptr; }
  void Close(Assimp::IOStream*) override {}
};

Vec3 to_linear(Vec3 c) {
  return {image::srgb_to_linear(c.x), image::srgb_to_linear(c.y), image::srgb_to_linear(c.z)};
}

Vec3 to_vector(const aiVector3D& v) { return {v.x, v.y, v.z}; }

Matrix4 to_matrix(const aiMatrix4x4& source) {
  Matrix4 result;
  for (unsigned r = 0; r < 3; ++r)
    for (unsigned c = 0; c < 4; ++c) result.m[r][c] = source[r][c];
  return result;
}

// FBX files count in units of their own, given in centimetres.
double metres_per_unit(const aiScene& scene) {
  double centimetres = 0;
  float single = 0;
  if (scene.mMetaData && scene.mMetaData->Get("UnitScaleFactor", centimetres) && centimetres > 0)
    return centimetres / 100;
  if (scene.mMetaData && scene.mMetaData->Get("UnitScaleFactor", single) && single > 0)
    return double(single) / 100;
  return 1;
}

class SceneConverter {
 public:
  SceneConverter(const aiScene& scene, const std::string& name, const std::filesystem::path& folder)
      : scene_(scene), name_(name), folder_(folder) {}

  Mesh convert() {
    Matrix4 root;
    const double scale = metres_per_unit(scene_);
    for (int i = 0; i < 3; ++i) root.m[i][i] = scale;
    if (scene_.mRootNode) walk(*scene_.mRootNode, root, 0);
    if (!coloured_) result_.colours.clear();
    return std::move(result_);
  }
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  void walk(const aiNode& node, const Matrix4& parent, int depth) {
    constexpr int deepest = 1000;
    if (depth > deepest) fail(ErrorKind::input, "cannot read mesh ", name_, ": its nodes nest too deeply.");
    const Matrix4 transform = parent * to_matrix(node.mTransformation);
    for (unsigned i = 0; i < node.mNumMeshes; ++i)
      if (node.mMeshes[i] < scene_.mNumMeshes) add(*scene_.mMeshes[node.mMeshes[i]], transform);
    for (unsigned i = 0; i < node.mNumChildren; ++i) walk(*node.mChildren[i], transform, depth + 1);
  }

  void add(const aiMesh& mesh, const Matrix4& transform) {
    Primitive primitive;
    const bool mirrored = transform.determinant() < 0;
    for (unsigned i = 0; i < mesh.mNumVertices; ++i) {
      primitive.positions.push_back(transform.point(to_vector(mesh.mVertices[i])));
      if (mesh.HasNormals()) primitive.normals.push_back(transform.normal(to_vector(mesh.mNormals[i])));
      if (mesh.HasVertexColors(0)) {
        const aiColor4D& c = mesh.mColors[0][i];
        primitive.linear_colours.push_back(to_linear({c.r, c.g, c.b}));
      }
      if (mesh.HasTextureCoords(0))
        primitive.coordinates.push_back({mesh.mTextureCoords[0][i].x, 1 - mesh.mTextureCoords[0][i].y});
    }
    for (unsigned i = 0; i < mesh.mNumFaces; ++i) {
      const aiFace& face = mesh.mFaces[i];
      if (face.mNumIndices != 3) continue;
      std::array<std::uint32_t, 3> triangle{face.mIndices[0], face.mIndices[1], face.mIndices[2]};
      for (const std::uint32_t index : triangle)
        if (index >= mesh.mNumVertices)
          fail(ErrorKind::input, "cannot read mesh ", name_, ": a face names vertex ", index, " of ",
               mesh.mNumVertices, ".");
      if (mirrored) std::swap(triangle[1], triangle[2]);
      primitive.triangles.push_back(triangle);
    }
    if (primitive.triangles.empty()) return;
    append(result_, bake_colours(primitive, material_of(mesh)));
  }

  Material material_of(const aiMesh& mesh) {
    Material material;
    if (mesh.mMaterialIndex >= scene_.mNumMaterials) return material;
    const aiMaterial& source = *scene_.mMaterials[mesh.mMaterialIndex];
    aiColor3D diffuse(1, 1, 1);
    if (source.Get(AI_MATKEY_COLOR_DIFFUSE, diffuse) == aiReturn_SUCCESS) {
      coloured_ = true;
      material.factor = to_linear({diffuse.r, diffuse.g, diffuse.b});
    }
    if (mesh.HasVertexColors(0)) {
      coloured_ = true;
      material.factor = {1, 1, 1};
    }
    aiString path;
    if (source.GetTexture(aiTextureType_DIFFUSE, 0, &path) != aiReturn_SUCCESS || path.length == 0)
      return material;
    material.texture = texture_of(path.C_Str());
    if (material.texture) material.factor = {1, 1, 1};
    return material;
  }

  const Texture* texture_of(const std::string& path) {
    const auto [at, is_new] = textures_.try_emplace(path);
    if (is_new) {
      try {
        at->second.image = std::make_shared<const image::Image>(load_texture(path));
      } catch (const Error& error) {
        warnings_.push_back(concat("mesh ", name_, " is read without one of its textures: ", error.what()));
      }
    }
    return at->second.image ? &at->second : nullptr;
  }

  image::Image load_texture(std::string path) const {
    const aiTexture* embedded = scene_.GetEmbeddedTexture(path.c_str());
    if (embedded && embedded->mHeight == 0) {
      const std::span bytes(reinterpret_cast<const std::byte*>(embedded->pcData), embedded->mWidth);
      return image::decode_image(bytes, name_ + " (texture)");
    }
    for (char& c : path)
      if (c == '\\') c = '/';
    // Exporters write where the picture lay on the author's machine; it is looked for beside the mesh.
    const std::filesystem::path relative(path);
    std::error_code ignored;
    const bool beside = relative.is_relative() && std::filesystem::exists(folder_ / relative, ignored);
    return image::read_image(resolve_reference(beside ? path : relative.filename().string(), folder_, name_));
  }

  const aiScene& scene_;
  const std::string& name_;
  const std::filesystem::path& folder_;
  Mesh result_;
  bool coloured_ = false;
  std::map<std::string, Texture> textures_;
  std::vector<std::string> warnings_;
};

template <class T>
void put(std::vector<std::byte>& bytes, std::span<const T> values) {
  append_bytes(bytes, static_cast<std::uint64_t>(values.size()));
  const auto raw = std::as_bytes(values);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

template <class Container>
Container take(std::span<const std::byte>& bytes) {
  using T = typename Container::value_type;
  std::uint64_t count = 0;
  ensure(bytes.size() >= sizeof(count), "a short answer of the mesh reader");
  std::memcpy(&count, bytes.data(), sizeof(count));
  bytes = bytes.subspan(sizeof(count));
  ensure(count <= bytes.size() / sizeof(T), "a short answer of the mesh reader");
  Container values(count, T{});
  if (count > 0) std::memcpy(values.data(), bytes.data(), count * sizeof(T));
  bytes = bytes.subspan(count * sizeof(T));
  return values;
}

// Runs in a process of its own: the mesh and the warnings, as bytes.
std::vector<std::byte> import_scene(std::span<const std::byte> bytes, const std::string& name,
                                    const std::string& extension, const std::filesystem::path& folder) {
  Assimp::Importer importer;
  importer.SetIOHandler(new ClosedFileSystem);  // the importer owns it
  const aiScene* scene = importer.ReadFileFromMemory(
      bytes.data(), bytes.size(),
      aiProcess_Triangulate | aiProcess_SortByPType | aiProcess_JoinIdenticalVertices, extension.c_str() + 1);
  if (!scene) fail(ErrorKind::input, "cannot read mesh ", name, ": ", importer.GetErrorString());
  SceneConverter converter(*scene, name, folder);
  const Mesh mesh = converter.convert();
  std::vector<std::byte> answer;
  put<Vec3>(answer, mesh.positions);
  put<std::array<std::uint32_t, 3>>(answer, mesh.triangles);
  put<Vec3>(answer, mesh.colours);
  put<Vec3>(answer, mesh.normals);
  for (const std::string& warning : converter.warnings()) put<char>(answer, warning);
  return answer;
}

}  // namespace

Mesh read_with_assimp(std::span<const std::byte> bytes, const std::string& name, const std::string& extension,
                      const std::filesystem::path& folder) {
  if (extension.size() < 2 || !Assimp::Importer().IsExtensionSupported(extension))
    fail(ErrorKind::input, "cannot read mesh ", name, ": the ending \"", extension,
         "\" is not known. Convert it to GLB first.");
  // assimp's readers crash, hang and fill the memory on broken files.
  constexpr std::size_t kMemoryBytes = std::size_t{512} << 20, kMemoryPerByte = 64;
  constexpr double kSeconds = 15, kBytesPerSecond = 1 << 20;
  const IsolationLimits limits{kMemoryBytes + kMemoryPerByte * bytes.size(),
                               std::ceil(kSeconds + static_cast<double>(bytes.size()) / kBytesPerSecond)};
  const auto answer = run_isolated([&] { return import_scene(bytes, name, extension, folder); },
                                   concat("cannot read mesh ", name), limits);
  std::span<const std::byte> rest(answer);
  Mesh mesh;
  mesh.positions = take<decltype(mesh.positions)>(rest);
  mesh.triangles = take<decltype(mesh.triangles)>(rest);
  mesh.colours = take<decltype(mesh.colours)>(rest);
  mesh.normals = take<decltype(mesh.normals)>(rest);
  while (!rest.empty()) log_warning(take<std::string>(rest));
  finish_read_mesh(mesh, name);
  return mesh;
}

}  // namespace omni::geometry
