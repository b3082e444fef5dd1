// The example of docs/sampling.md: tools/test_install.sh checks that it stands there word for word.
#include "omni/generation/make_samples.h"
#include "omni/geometry/mesh_files.h"

int main() {
  using namespace omni;
  const model::Bundle bundle = model::load_bundle("out/demo/finetune/bundle");
  generation::GenerationRequest request{.task = sequence::built_in_task("text->shape")};
  request.prompts = {"a tall red chair with thick black legs"};
  request.count = 4;
  generation::make_meshes(bundle, request, {}, [](const generation::GeneratedSample& sample) {
    const generation::ExtractedMesh& mesh = *sample.shapes.back().mesh;
    if (!mesh.empty())
      geometry::write_mesh("chair_" + std::to_string(sample.sample_number) + ".glb", mesh.mesh);
  });
}
