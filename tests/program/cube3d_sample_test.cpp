// `omni sample` with a Cube3D: the small one of the reference cases, as it was published and as it was imported.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>

#include "cube3d_sampler.h"
#include "forked_run.h"
#include "omni/core/error.h"
#include "omni/core/json_text.h"
#include "omni/core/npy.h"
#include "omni/core/safetensors.h"
#include "omni/geometry/mesh_files.h"
#include "sample_model.h"
#include "small_cube3d.h"
#include "small_cube3d_arguments.h"
#include "temporary_directory.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using Words = std::vector<std::string>;

class Cube3dSample : public testing::Test {
 protected:
  void SetUp() override {
    test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder_ / "published");
    test::write_small_cube3d(OMNI_SOURCE_DIR "/tests/fixtures", folder_ / "old", /*box=*/false);
  }

  static Words published() {
    return {"--model", "cube3d-v0.5", "--weights", "published", "--config", "published/gpt.json"};
  }
  static Words joined(Words words, const Words& more) {
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  Ending sample(const Words& model, const Words& more) const {
    return run_forked(joined(joined({"sample"}, model), more), folder_.path());
  }
  void expect_refused(const Words& model, const Words& more, const std::string& words,
                      ErrorKind kind = ErrorKind::usage) const {
    const Ending ending = sample(model, joined(more, {"--out", "never.glb"}));
    EXPECT_EQ(ending.code, exit_code(kind)) << ending.output;
    EXPECT_THAT(ending.output, ContainsRegex(words));
    EXPECT_FALSE(fs::exists(folder_ / "never.glb"));
  }
  std::string bytes(const std::string& name) const { return read_file_text(folder_ / name); }
  // Of results.jsonl.
  nlohmann::json result_of(const std::string& run, const std::string& name) const {
    std::ifstream lines(folder_ / run / "results.jsonl");
    for (std::string line; std::getline(lines, line);)
      if (nlohmann::json result = parse_json(line); result.at("name") == name) return result;
    return nlohmann::json::object();
  }
  void write_codes(const std::string& name, const std::vector<std::int32_t>& codes) const {
    write_file_atomically(folder_ / name, std::span<const std::byte>(to_npy(codes)));
  }
  std::vector<std::int64_t> codes(const std::string& name) const {
    return parse_npy(read_file_bytes(folder_ / name), name).values;
  }

  const test::TemporaryDirectory folder_;
};

const Words kPrompt = {"--prompt", "a small red chair", "--resolution", "24"};

TEST_F(Cube3dSample, PublishedAndImportedFilesMakeTheSameMesh) {
  const Ending first = sample(published(), joined(kPrompt, {"--bbox", "1,2,1.5", "--out", "a.glb", "--codes",
                                                            "a.npy", "--preview", "a.png"}));
  ASSERT_EQ(first.code, 0) << first.output;
  EXPECT_THAT(first.output, HasSubstr("peak memory"));
  EXPECT_TRUE(fs::exists(folder_ / "a.png"));
  EXPECT_EQ(codes("a.npy").size(), 8u);
  const Ending import = run_forked({"import", "cube3d", "published", "--config", "published/gpt.json",
                                    "--text", "published/clip", "--out", "imported"},
                                   folder_.path());
  ASSERT_EQ(import.code, 0) << import.output;
  const Ending second = sample({"--model", "imported"},
                               joined(kPrompt, {"--bbox", "1,2,1.5", "--out", "b.glb", "--codes", "b.npy"}));
  ASSERT_EQ(second.code, 0) << second.output;
  EXPECT_EQ(bytes("a.glb"), bytes("b.glb"));
  EXPECT_EQ(bytes("a.npy"), bytes("b.npy"));
  // The codes make the same mesh by themselves.
  const Ending decoded = run_forked({"tokenizer", "decode", "shape", "imported/shape_tokenizer", "a.npy",
                                     "--resolution", "24", "--out", "c.glb"},
                                    folder_.path());
  ASSERT_EQ(decoded.code, 0) << decoded.output;
  EXPECT_EQ(bytes("a.glb"), bytes("c.glb"));

  for (const char* command : {"bundle", "model"}) {
    const Ending info = run_forked({"info", command, "imported"}, folder_.path());
    EXPECT_EQ(info.code, 0) << info.output;
    for (const char* words : {"Cube3D v0.5", "text tower +2 blocks", "text tokenizer +tokenizer.json",
                              "shape tokenizer +8 codes a shape, of 32"})
      EXPECT_THAT(info.output, ContainsRegex(words)) << command;
    // 77 of text, the box, the start and 8 codes.
    EXPECT_EQ(info.output.find("context           87 tokens") != std::string::npos,
              std::string(command) == "model");
  }
}

TEST_F(Cube3dSample, AGptInShardsIsSampledAndImported) {
  ASSERT_EQ(sample(published(), joined(kPrompt, {"--codes", "whole.npy"})).code, 0);
  const fs::path whole = folder_ / "published/shape_gpt.safetensors";
  fs::rename(whole, folder_ / "published/shard.safetensors");
  nlohmann::json index;
  const SafetensorsFile shard(folder_ / "published/shard.safetensors");
  for (const auto& [name, view] : shard.tensors()) index["weight_map"][name] = "shard.safetensors";
  std::ofstream(whole.string() + ".index.json") << index;
  const Ending direct = sample(published(), joined(kPrompt, {"--codes", "shards.npy"}));
  EXPECT_EQ(direct.code, 0) << direct.output;
  EXPECT_EQ(bytes("shards.npy"), bytes("whole.npy"));
  const Ending import = run_forked({"import", "cube3d", "published", "--config", "published/gpt.json",
                                    "--text", "published/clip", "--out", "imported"},
                                   folder_.path());
  EXPECT_EQ(import.code, 0) << import.output;
  EXPECT_EQ(sample({"--model", "imported"}, joined(kPrompt, {"--codes", "imported.npy"})).code, 0);
  EXPECT_EQ(bytes("imported.npy"), bytes("whole.npy"));
}

TEST_F(Cube3dSample, ValuesThatAreNotFiniteAreNamed) {
  const fs::path path = folder_ / "published/shape_tokenizer.safetensors";
  const std::string name = "occupancy_decoder.query_in.out_layer.weight";
  {
    const SafetensorsFile file(path);
    std::vector<NamedTensorView> tensors;
    std::vector<float> values = file.at(name).to_vector<float>();
    values[4] = std::numeric_limits<float>::quiet_NaN();
    for (const auto& [own, view] : file.tensors())
      tensors.push_back({own, own == name ? tensor_view(values, view.shape) : view});
    write_safetensors(folder_ / "broken.safetensors", tensors);
  }
  fs::rename(folder_ / "broken.safetensors", path);
  expect_refused(published(), kPrompt,
                 "shape_tokenizer.safetensors.*element 4 of the tensor '" + name + "'.* nan",
                 ErrorKind::input);
  EXPECT_FALSE(fs::exists(folder_ / "published/shape_gpt.fp32.panels")) << "found before the GPT is packed";
  const Ending import = run_forked({"import", "cube3d", "published", "--config", "published/gpt.json",
                                    "--text", "published/clip", "--out", "imported"},
                                   folder_.path());
  EXPECT_EQ(import.code, exit_code(ErrorKind::input));
  EXPECT_THAT(import.output, HasSubstr("element 4 of the tensor '" + name + "'"));
  EXPECT_FALSE(fs::exists(folder_ / "imported"));
}

TEST_F(Cube3dSample, AQwen3ReadsThePromptsOfAModelThatWasImportedWithIt) {
  const std::string fixtures = OMNI_SOURCE_DIR "/tests/fixtures";
  const Ending import =
      run_forked({"import", "cube3d", fixtures + "/tiny/cube3d/gpt/shape_gpt.safetensors", "--config",
                  fixtures + "/tiny/cube3d/gpt/config.json", "--text", fixtures + "/public/qwen3",
                  "--shape-tokenizer", "published/shape_tokenizer.safetensors", "--out", "imported"},
                 folder_.path());
  ASSERT_EQ(import.code, 0) << import.output;
  EXPECT_THAT(import.output, HasSubstr("a fresh projection of texts, 32 numbers a token"));
  const Words imported = {"--model", "imported"};
  const auto drawn = [&](const std::string& prompt) {
    const Ending ending = sample(imported, {"--prompt", prompt, "--temperature", "1", "--seed", "5",
                                            "--guidance", "100", "--guidance-schedule", "constant",
                                            "--resolution", "24", "--codes", "q.npy", "--out", "q.glb"});
    EXPECT_EQ(ending.code, 0) << ending.output;
    return codes("q.npy");
  };
  const auto chair = drawn("a small red chair");
  EXPECT_EQ(chair.size(), 8u);
  EXPECT_EQ(drawn("a small red chair"), chair);
  EXPECT_NE(drawn("two blue tables and a lamp"), chair);
  // The published GPT has no projection of such features.
  expect_refused({"--model", "cube3d-v0.5", "--weights", "published", "--config",
                  fixtures + "/tiny/cube3d/gpt/config.json", "--text", fixtures + "/public/qwen3"},
                 kPrompt, "the text tower has the width 32, the GPT expects 16", ErrorKind::input);
}

TEST_F(Cube3dSample, SettingsReachTheDraw) {
  const auto drawn = [&](const Words& more) {
    const Ending ending = sample(published(), joined(joined(kPrompt, more), {"--codes", "x.npy"}));
    EXPECT_EQ(ending.code, 0) << ending.output;
    return codes("x.npy");
  };
  const auto plain = drawn({});
  EXPECT_EQ(drawn({"--temperature", "0", "--guidance", "3", "--guidance-schedule", "linear"}), plain);
  const std::vector<Words> others = {{"--guidance", "0"},
                                     {"--guidance", "text=100"},
                                     {"--guidance-schedule", "constant", "--guidance", "20"},
                                     {"--top-p", "0.95", "--seed", "4"},
                                     {"--precision", "bf16"},
                                     {"--precision", "int8"}};
  for (const Words& other : others) EXPECT_EQ(drawn(other).size(), 8u);
  EXPECT_NE(drawn({"--top-p", "0.95", "--seed", "4"}), plain);
  EXPECT_EQ(drawn({"--top-p", "0.95", "--seed", "4"}),
            drawn({"--top-p", "0.95", "--seed", "4", "--temperature", "1"}));
}

TEST_F(Cube3dSample, OptionsThatMeanNothingAreRefusedByName) {
  for (const Words& option :
       {Words{"--image", "x.png"}, Words{"--mesh", "x.glb"}, Words{"--instruction", "paint it"},
        Words{"--view", "0,0"}, Words{"--task", "text->shape"}, Words{"--detail", "4"}, Words{"--no-colour"},
        Words{"--as-it-is"}, Words{"--snap-to-box"}})
    expect_refused(published(), joined(kPrompt, option), option[0] + " means nothing to a Cube3D");
  expect_refused({}, joined(kPrompt, {"--bbox", "1,1,1"}), "--bbox is read by a Cube3D alone");
  expect_refused({}, joined(kPrompt, {"--weights", "published"}),
                 "--weights names the files of a public model");
  expect_refused({"--model", "cube3d-v0.5"}, kPrompt, "Name their folder with --weights");
  expect_refused({"--model", "cube3d-v0.5", "--weights", "absent"}, kPrompt, "no such folder", ErrorKind::io);
  expect_refused({"--model", "cube3d-v0.1", "--weights", "published"}, kPrompt, "it is Cube3D v0.5",
                 ErrorKind::input);
  const Words old = {"--model", "cube3d-v0.1", "--weights", "old", "--config", "old/gpt.json"};
  expect_refused(old, joined(kPrompt, {"--bbox", "1,1,1"}), "v0.1, knows none. Leave --bbox out");
  EXPECT_EQ(sample(old, joined(kPrompt, {"--out", "old.glb"})).code, 0);
}

TEST_F(Cube3dSample, AnImportedFolderTakesNoOtherFiles) {
  const Ending import = run_forked({"import", "cube3d", "published", "--config", "published/gpt.json",
                                    "--text", "published/clip", "--out", "cube3d-v0.5"},
                                   folder_.path());
  ASSERT_EQ(import.code, 0) << import.output;
  fs::create_directory_symlink("cube3d-v0.5", folder_ / "imported");
  const Words imported = {"--model", "imported"}, named_as_a_version = {"--model", "cube3d-v0.5"};
  for (const char* option : {"--weights", "--text", "--config"})
    expect_refused(imported, joined(kPrompt, {option, "published"}),
                   option + std::string(" names a file of"));
  for (const char* option : {"--text", "--config"})
    expect_refused(named_as_a_version, joined(kPrompt, {option, "published"}), option);
  EXPECT_EQ(sample(published(), joined(kPrompt, {"--out", "published.glb"})).code, 0);
}

TEST_F(Cube3dSample, EmptyValuesAreRefused) {
  for (const char* option : {"--bbox", "--guidance", "--first-codes", "--text"})
    expect_refused(published(), joined(kPrompt, {option, ""}), option + std::string(" is given without"));
  expect_refused({}, joined(kPrompt, {"--guidance", ""}), "--guidance is given without");
}

TEST_F(Cube3dSample, NumbersOutOfRangeAreRefused) {
  for (const char* box : {"0,1,1", "1,-1,1", "1,1,nan", "1,1", "1,1,1,1", "1,,1", "1e999,1,1"})
    expect_refused(published(), joined(kPrompt, {"--bbox", box}), "bbox");
  for (const char* guidance : {"-1", "101", "nan", "image=2", "text=1,text=2"})
    expect_refused(published(), joined(kPrompt, {"--guidance", guidance}), "guidance");
  for (const char* guidance : {"101", "text=101"})
    expect_refused(published(), joined(kPrompt, {"--guidance", guidance}),
                   "scale 101 is not between 0 and 100. 0 is none, 3 is the published one");
  expect_refused(published(), joined(kPrompt, {"--top-p", "0"}), "--top-p is 0");
  expect_refused(published(), joined(kPrompt, {"--best-of", "2", "--temperature", "0"}), "temperature 0");
  expect_refused(published(), {"--prompt", " \t", "--resolution", "24"}, "prompt: it is empty");
  expect_refused(published(), joined(kPrompt, {"--prompt", "another"}), "2 prompts are given");
  expect_refused(published(), {"--prompt", "\x01\x02\x7f\n", "--resolution", "24"}, "prompt: it is empty");
  EXPECT_EQ(sample(published(), {"--any", "--resolution", "24", "--out", "any.glb"}).code, 0);
  for (const char* nothing : {"", "\x01\u3000"}) {
    const Words any = {"--prompt", nothing, "--any", "--resolution", "24", "--out", "none.glb"};
    EXPECT_EQ(sample(published(), any).code, 0);
    EXPECT_EQ(bytes("any.glb"), bytes("none.glb"));
  }
  expect_refused(published(), {"--resolution", "24"}, "0 prompts are given.*--any");
}

TEST_F(Cube3dSample, GivenCodesAreCompletedOrRefused) {
  ASSERT_EQ(sample(published(), joined(kPrompt, {"--codes", "whole.npy"})).code, 0);
  const std::vector<std::int64_t> whole = codes("whole.npy");
  write_codes("start.npy", {whole.begin(), whole.begin() + 3});
  ASSERT_EQ(sample(published(), joined(kPrompt, {"--first-codes", "start.npy", "--codes", "again.npy"})).code,
            0);
  EXPECT_EQ(codes("again.npy"), whole);
  const std::int32_t other = static_cast<std::int32_t>((whole[0] + 1) % 32);
  write_codes("other.npy", {other});
  ASSERT_EQ(sample(published(), joined(kPrompt, {"--first-codes", "other.npy", "--codes", "again.npy"})).code,
            0);
  EXPECT_EQ(codes("again.npy").at(0), other);

  write_codes("far.npy", {1, 32});
  expect_refused(published(), joined(kPrompt, {"--first-codes", "far.npy"}),
                 "name 32, which is not one of the model's 32");
  write_codes("long.npy", std::vector<std::int32_t>(9, 1));
  expect_refused(published(), joined(kPrompt, {"--first-codes", "long.npy"}),
                 "9 codes are given that a shape of 8 starts with");
  std::ofstream(folder_ / "text.npy") << "no array";
  expect_refused(published(), joined(kPrompt, {"--first-codes", "text.npy"}), "text.npy.*not a NumPy file",
                 ErrorKind::input);
  expect_refused(published(), joined(kPrompt, {"--first-codes", "absent.npy"}), "absent.npy", ErrorKind::io);
  expect_refused(published(), joined(kPrompt, {"--first-codes", "start.png"}), "start.png.*ending");
}

TEST_F(Cube3dSample, AFileOfPromptsFillsAFolderThatGoesOn) {
  std::ofstream(folder_ / "p.csv") << "prompt,name,seed\na red chair,chair,3\na mug,mug,\nragged\n,empty,\n";
  const Words run = {"--prompts", "p.csv",   "--resolution", "24",    "--bbox",
                     "1,2,1",     "--top-p", "0.9",          "--out", "run"};
  const Ending first = sample(published(), run);
  EXPECT_EQ(first.code, exit_code(ErrorKind::input)) << first.output;
  EXPECT_THAT(first.output, HasSubstr("2 of 4 gave nothing"));
  for (const char* name :
       {"run.json", "results.jsonl", "index.html", "chair.glb", "chair.png", "chair.npy", "mug.glb"})
    EXPECT_TRUE(fs::exists(folder_ / "run" / name)) << name;
  const std::string mug = bytes("run/mug.glb");
  const Ending alone = sample(published(), {"--prompt", "a red chair", "--seed", "3", "--resolution", "24",
                                            "--bbox", "1,2,1", "--top-p", "0.9", "--out", "alone.glb"});
  EXPECT_EQ(alone.code, 0) << alone.output;
  EXPECT_EQ(bytes("alone.glb"), bytes("run/chair.glb"));
  // The size that is told is the mesh's own: the model names none.
  const geometry::Vec3 extent = geometry::read_mesh(folder_ / "alone.glb").bounds().extent();
  const float longest = std::max({extent.x, extent.y, extent.z});
  EXPECT_LT(longest, 1.9f);
  EXPECT_THAT(alone.output, HasSubstr(concat("triangles, ", longest, " m")));
  EXPECT_EQ(result_of("run", "chair").at("longest_side_m").get<float>(), longest);
  const nlohmann::json chair = result_of("run", "chair"), settings = chair.at("settings");
  EXPECT_EQ(settings.at("guidance").get<double>(), 3);  // the published one, which nobody named
  EXPECT_EQ(settings.at("temperature").get<double>(), 1);
  EXPECT_EQ(settings.at("resolution").get<int>(), 24);
  EXPECT_GT(chair.at("drawing_seconds").get<double>(), 0);
  EXPECT_GT(chair.at("meshing_seconds").get<double>(), 0);
  // As after a kill.
  const std::string results = bytes("run/results.jsonl");
  write_file_atomically(folder_ / "run/results.jsonl",
                        std::string_view(results).substr(0, results.size() - 5));
  EXPECT_EQ(sample(published(), run).code, exit_code(ErrorKind::input));
  EXPECT_EQ(bytes("run/mug.glb"), mug);
  for (const Words& other :
       {Words{"--bbox", "1,2,2"}, Words{"--guidance", "2"}, Words{"--first-codes", "run/mug.npy"}}) {
    const Ending ending = sample(published(), joined(run, other));
    EXPECT_EQ(ending.code, exit_code(ErrorKind::usage)) << ending.output;
    EXPECT_THAT(ending.output, HasSubstr("it holds another run"));
  }
  write_file_atomically(folder_ / "run/run.json", std::string_view("{\"format"));
  const Ending broken = sample(published(), run);
  EXPECT_EQ(broken.code, exit_code(ErrorKind::input));
  EXPECT_THAT(broken.output, HasSubstr("is damaged"));
}

// Each file that a sample depends on, put back after it was changed.
TEST_F(Cube3dSample, AFolderOfPromptsIsOfOneModel) {
  std::ofstream(folder_ / "p.txt") << "a red chair\n";
  const Words prompts = {"--prompts", "p.txt", "--resolution", "8"};
  const auto expect_another_run = [&](const Words& model, const std::string& run, const std::string& changed,
                                      const std::string& from, const std::string& to) {
    const std::string before = bytes(changed), after = test::with_text(before, from, to);
    ASSERT_NE(before, after) << changed;
    write_file_atomically(folder_ / changed, std::string_view(after));
    const Ending ending = sample(model, joined(prompts, {"--out", run}));
    EXPECT_EQ(ending.code, exit_code(ErrorKind::usage)) << changed << ": " << ending.output;
    EXPECT_THAT(ending.output, HasSubstr("it holds another run")) << changed;
    write_file_atomically(folder_ / changed, std::string_view(before));
    EXPECT_EQ(sample(model, joined(prompts, {"--out", run})).code, 0) << changed;
  };
  ASSERT_EQ(sample(published(), joined(prompts, {"--out", "run"})).code, 0);
  expect_another_run(published(), "run", "published/gpt.json", "\"rope_theta\": 10000",
                     "\"rope_theta\": 20000");
  expect_another_run(published(), "run", "published/clip/config.json", "{", "{ ");
  expect_another_run(published(), "run", "published/clip/tokenizer.json", "{", "{ ");

  ASSERT_EQ(run_forked({"import", "cube3d", "published", "--config", "published/gpt.json", "--text",
                        "published/clip", "--out", "imported"},
                       folder_.path())
                .code,
            0);
  const Words imported = {"--model", "imported"};
  ASSERT_EQ(sample(imported, joined(prompts, {"--out", "run2"})).code, 0);
  for (const char* description : {"imported/public.yaml", "imported/text/public.yaml"})
    expect_another_run(imported, "run2", description, "format_version", "# changed\nformat_version");

  // A text tower in shards.
  fs::rename(folder_ / "published/clip/model.safetensors", folder_ / "published/clip/shard.safetensors");
  nlohmann::json index;
  const SafetensorsFile shard(folder_ / "published/clip/shard.safetensors");
  for (const auto& [name, view] : shard.tensors()) index["weight_map"][name] = "shard.safetensors";
  std::ofstream(folder_ / "published/clip/model.safetensors.index.json") << index;
  ASSERT_EQ(sample(published(), joined(prompts, {"--out", "run3"})).code, 0);
  expect_another_run(published(), "run3", "published/clip/model.safetensors.index.json", "{", "{ ");
  expect_another_run(published(), "run3", "published/clip/shard.safetensors", "\"F32\"", "\"I32\"");
}

// Before memory is reckoned with, and before anything is packed.
TEST_F(Cube3dSample, FilesThatDoNotFitAreNamedFirst) {
  const std::string config = bytes("published/gpt.json"),
                    forged = test::with_text(config, "\"n_embd\": 32", "\"n_embd\": 65536");
  ASSERT_NE(forged, config);
  write_file_atomically(folder_ / "published/gpt.json", std::string_view(forged));
  expect_refused(published(), kPrompt, "shape_gpt.safetensors.*the configuration expects \\[",
                 ErrorKind::input);
  write_file_atomically(folder_ / "published/gpt.json", std::string_view(config));
  const std::string tokenizer = bytes("published/shape_tokenizer.safetensors");
  write_file_atomically(folder_ / "published/shape_tokenizer.safetensors",
                        std::string_view(test::with_text(tokenizer, "c_head.bias", "c_head.bies")));
  expect_refused(published(), kPrompt, "c_head.bias. is missing", ErrorKind::input);
  for (const auto& entry : fs::directory_iterator(folder_ / "published"))
    EXPECT_THAT(entry.path().string(), testing::Not(HasSubstr("panels")));
}

TEST_F(Cube3dSample, WithoutAGpuItsDeviceIsRefused) {
  const char* plugin = std::getenv("OMNI_CUDA_PLUGIN");
  const std::string before = plugin != nullptr ? plugin : "";
  ::setenv("OMNI_CUDA_PLUGIN", "no_plugin.so", 1);
  expect_refused(published(), joined(kPrompt, {"--device", "cuda"}),
                 "sampling on the device cuda: the CUDA plug-in is not there.*Choose the device cpu");
  plugin != nullptr ? ::setenv("OMNI_CUDA_PLUGIN", before.c_str(), 1) : ::unsetenv("OMNI_CUDA_PLUGIN");
}

TEST_F(Cube3dSample, TheTextTowerIsReadOnceForAFileOfPrompts) {
  const SampleArguments arguments = test::small_cube3d_arguments(folder_ / "published");
  Cube3dSampler sampler(arguments);
  std::vector<std::int32_t> last;
  const auto draw = [&] {
    const SeededPrompt prompt{"a red chair", 0};
    sampler.sample(
        {&prompt, 1}, sample_options(arguments, /*with_meshes=*/false),
        [&](const generation::GeneratedSample& sample) { last = sample.shapes.at(0).codes.geometry; });
    return last;
  };
  const std::vector<std::int32_t> first = draw();
  fs::remove_all(folder_ / "published/clip");
  EXPECT_EQ(draw(), first);
}

// The same weights beside a tensor that nobody reads, without blocks on the disk, of more than any machine's memory.
void make_huge(const fs::path& weights) {
  constexpr std::uint64_t kElements = std::uint64_t{1} << 40;
  const std::string before = weights.string() + ".before";
  fs::rename(weights, before);
  const SafetensorsFile original(before);
  std::vector<TensorDescription> tensors;
  std::string bytes;
  for (const auto& [name, view] : original.tensors()) {
    if (name == "logit_scale") continue;
    tensors.push_back({name, view.dtype, view.shape});
    bytes.append(reinterpret_cast<const char*>(view.bytes.data()), view.bytes.size());
  }
  tensors.push_back({"logit_scale", DType::f32, {static_cast<std::int64_t>(kElements)}});
  const std::string head = safetensors_head(tensors, {});
  std::ofstream(weights, std::ios::binary) << head << bytes;
  fs::resize_file(weights, head.size() + bytes.size() + 4 * kElements);
}

TEST_F(Cube3dSample, TheTextTowerCountsWhereItStays) {
  std::ofstream(folder_ / "p.txt") << "a red chair\n";
  make_huge(folder_ / "published/clip/model.safetensors");
  const Ending ending = sample(published(), {"--prompts", "p.txt", "--out", "run"});
  EXPECT_EQ(ending.code, exit_code(ErrorKind::out_of_memory)) << ending.output;
  EXPECT_FALSE(fs::exists(folder_ / "run"));
}

// On a GPU that the host plays: a real one's driver does not outlive a fork.
class Cube3dSampleHostGpu : public Cube3dSample {
 protected:
  void SetUp() override {
    if (::dlsym(RTLD_DEFAULT, "omni_host_gpu_reads") == nullptr) GTEST_SKIP() << "the host plays no GPU";
    Cube3dSample::SetUp();
  }
  static Words on_gpu(const Words& more) { return joined(more, {"--device", "cuda"}); }
};

TEST_F(Cube3dSampleHostGpu, MakesTheProcessorsCodesInFp32AndMeshesInAnyPrecision) {
  ASSERT_EQ(sample(published(), joined(kPrompt, {"--codes", "host.npy"})).code, 0);
  for (const char* precision : {"fp32", "auto", "int8"}) {
    const Ending ending =
        sample(published(),
               on_gpu(joined(kPrompt, {"--precision", precision, "--out", "a.glb", "--codes", "gpu.npy"})));
    ASSERT_EQ(ending.code, 0) << ending.output;
    EXPECT_THAT(ending.output, ContainsRegex("peak memory: .* GB, on the GPU"));
    EXPECT_EQ(codes("gpu.npy").size(), 8u);
    if (std::string(precision) == "fp32") {
      EXPECT_EQ(codes("gpu.npy"), codes("host.npy"));
    }
    EXPECT_FALSE(geometry::read_mesh(folder_ / "a.glb").triangles.empty());
  }
  EXPECT_FALSE(fs::exists(folder_ / "published/shape_gpt.bf16.panels")) << "nothing is packed";
}

TEST_F(Cube3dSampleHostGpu, AFileOfPromptsFillsAFolder) {
  std::ofstream(folder_ / "p.csv") << "prompt,name,seed\na red chair,chair,3\na mug,mug,\n";
  const Ending all = sample(published(), on_gpu({"--prompts", "p.csv", "--resolution", "24", "--top-p", "0.9",
                                                 "--batch", "2", "--out", "run"}));
  ASSERT_EQ(all.code, 0) << all.output;
  const Ending alone = sample(published(), on_gpu({"--prompt", "a red chair", "--seed", "3", "--resolution",
                                                   "24", "--top-p", "0.9", "--out", "alone.glb"}));
  ASSERT_EQ(alone.code, 0) << alone.output;
  EXPECT_EQ(bytes("alone.glb"), bytes("run/chair.glb"));
}

TEST_F(Cube3dSampleHostGpu, WhatDoesNotFitIsRefusedBeforeItIsRead) {
  std::ofstream(folder_ / "p.txt") << "a red chair\n";
  make_huge(folder_ / "published/clip/model.safetensors");
  const Ending ending = sample(published(), on_gpu({"--prompts", "p.txt", "--out", "run"}));
  EXPECT_EQ(ending.code, exit_code(ErrorKind::out_of_memory)) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("of the GPU's memory"));
}

TEST_F(Cube3dSampleHostGpu, AGpuThatIsTooOldIsRefused) {
  ::setenv("OMNI_HOST_GPU_KIND", "75 Tesla T4", 1);
  expect_refused(published(), on_gpu(kPrompt), "sampling on GPU 0, Tesla T4 .* need a GPU of sm_80");
  ::unsetenv("OMNI_HOST_GPU_KIND");
}

}  // namespace
}  // namespace omni::tools
