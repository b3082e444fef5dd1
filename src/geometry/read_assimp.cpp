#include <assimp/postprocess.h>
#include <assimp/scene.h>
#include <assimp/IOSystem.hpp>
#include <assimp/Importer.hpp>

#include <map>

#include "answer_bytes.h"
#include "assimp_frame.h"
#include "linear_colour.h"
#include "matrix4.h"
#include "mesh_formats.h"
#include "omni/core/error.h"
#include "omni/core/isolation.h"
#include "omni/image/texture_image.h"
#include "reading_limits.h"
#include "texture.h"
#include "texture_files.h"

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

Vec3 to_vector(const aiVector3D& v) { return {v.x, v.y, v.z}; }

Matrix4 to_matrix(const aiMatrix4x4& source) {
  Matrix4 result;
  for (unsigned r = 0; r < 3; ++r)
    for (unsigned c = 0; c < 4; ++c) result.m[r][c] = source[r][c];
  return result;
}

class SceneConverter {
 public:
  SceneConverter(const aiScene& scene, const std::string& name, const std::filesystem::path& folder,
                 ReadNotes& notes)
      : scene_(scene), name_(name), notes_(notes), files_(folder, name, notes) {}

  Mesh convert(const Matrix4& frame) {
    if (scene_.mRootNode) walk(*scene_.mRootNode, frame, 0);
    if (!coloured_) result_.colours.clear();
    return std::move(result_);
  }

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
      if (face.mNumIndices != 3) {
        notes_.add("is read without points and lines", concat("mesh \"", mesh.mName.C_Str(), "\""));
        continue;
      }
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
    // A black surface that glows shows what it emits.
    aiColor3D emission(0, 0, 0);
    const bool glows =
        source.Get(AI_MATKEY_COLOR_EMISSIVE, emission) == aiReturn_SUCCESS && !emission.IsBlack();
    if (glows && diffuse.IsBlack()) material.factor = to_linear({emission.r, emission.g, emission.b});
    if (mesh.HasVertexColors(0)) {
      coloured_ = true;
      material.factor = {1, 1, 1};
    }
    aiString path;
    if (source.GetTexture(aiTextureType_DIFFUSE, 0, &path) != aiReturn_SUCCESS || path.length == 0)
      return material;
    if (!mesh.HasTextureCoords(0)) {
      notes_.add(kWithoutTextures, concat("mesh \"", mesh.mName.C_Str(), "\" has no texture coordinates"));
      return material;
    }
    material.texture = texture_of(path.C_Str());
    if (material.texture) material.factor = {1, 1, 1};
    return material;
  }

  const Texture* texture_of(const std::string& path) {
    const auto [at, is_new] = textures_.try_emplace(path);
    if (is_new) at->second.image = picture_of(path);
    return at->second.image ? &at->second : nullptr;
  }

  TextureFiles::Picture picture_of(const std::string& path) {
    const aiTexture* embedded = scene_.GetEmbeddedTexture(path.c_str());
    if (!embedded || embedded->mHeight != 0) return files_.read(path);
    try {
      const std::span bytes(reinterpret_cast<const std::byte*>(embedded->pcData), embedded->mWidth);
      return std::make_shared<const image::Image>(image::decode_texture(bytes, name_ + " (texture)"));
    } catch (const Error& error) {
      notes_.add(kWithoutTextures, error.what());
      return nullptr;
    }
  }

  const aiScene& scene_;
  const std::string& name_;
  ReadNotes& notes_;
  TextureFiles files_;
  Mesh result_;
  bool coloured_ = false;
  std::map<std::string, Texture> textures_;
};

// Runs in a process of its own: the mesh and the notes, as bytes.
std::vector<std::byte> import_scene(std::span<const std::byte> bytes, const std::string& name,
                                    const std::string& extension, const std::filesystem::path& folder) {
  Assimp::Importer importer;
  importer.SetIOHandler(new ClosedFileSystem);  // the importer owns it
  const aiScene* scene = importer.ReadFileFromMemory(
      bytes.data(), bytes.size(),
      aiProcess_Triangulate | aiProcess_SortByPType | aiProcess_JoinIdenticalVertices, extension.c_str() + 1);
  if (!scene) fail(ErrorKind::input, "cannot read mesh ", name, ": ", importer.GetErrorString());
  ReadNotes notes;
  const Mesh mesh =
      SceneConverter(*scene, name, folder, notes).convert(stated_frame(*scene, bytes, extension));
  std::vector<std::byte> answer;
  put_list<Vec3>(answer, mesh.positions);
  put_list<std::array<std::uint32_t, 3>>(answer, mesh.triangles);
  put_list<Vec3>(answer, mesh.colours);
  put_list<Vec3>(answer, mesh.normals);
  for (const ReadNotes::Note& note : notes.notes()) {
    put_list<char>(answer, note.what);
    put_list<char>(answer, note.first);
    put_list<std::uint64_t>(answer, std::array{std::uint64_t(note.count)});
  }
  return answer;
}

}  // namespace

Mesh read_with_assimp(std::span<const std::byte> bytes, const std::string& name, const std::string& extension,
                      const std::filesystem::path& folder, ReadNotes& notes) {
  if (extension.size() < 2 || !Assimp::Importer().IsExtensionSupported(extension))
    fail(ErrorKind::input, "cannot read mesh ", name, ": the ending \"", extension,
         "\" is not known. Convert it to GLB first.");
  // assimp's readers crash, hang and fill the memory on broken files.
  constexpr std::size_t kMemoryPerByte = 64;
  const auto answer =
      run_isolated([&] { return import_scene(bytes, name, extension, folder); },
                   concat("cannot read mesh ", name), reading_limits(bytes.size(), kMemoryPerByte));
  std::span<const std::byte> rest(answer);
  Mesh mesh;
  mesh.positions = take_list<decltype(mesh.positions)>(rest);
  mesh.triangles = take_list<decltype(mesh.triangles)>(rest);
  mesh.colours = take_list<decltype(mesh.colours)>(rest);
  mesh.normals = take_list<decltype(mesh.normals)>(rest);
  while (!rest.empty()) {
    const auto what = take_list<std::string>(rest), first = take_list<std::string>(rest);
    const auto count = take_list<std::vector<std::uint64_t>>(rest);
    notes.add(what, first, count.empty() ? 0 : std::size_t(count.front()));
  }
  finish_read_mesh(mesh, name, notes);
  return mesh;
}

}  // namespace omni::geometry
