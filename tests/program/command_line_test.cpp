// What every command line does, whatever its command: mistakes are named once, with what would be right; no
// number that a user may write ends the program with a code beyond its table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <yaml-cpp/yaml.h>

#include <fstream>
#include <functional>
#include <map>
#include <regex>

#include "forked_run.h"
#include "help.h"
#include "omni/core/error.h"
#include "program.h"
#include "sanitized.h"
#include "usage.h"

namespace omni::tools {
namespace {

namespace fs = std::filesystem;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::StartsWith;

using Words = std::vector<std::string>;

// A folder with a closed mesh and a codes file, which is gone after the test.
class CommandLine : public testing::Test {
 public:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "omni-program-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    write("closed.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 3 1 4\n");
    write("open.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\n");
    write("noise.glb", "no mesh at all");
    fs::create_directories(folder_ / "meshes");
    fs::copy_file(folder_ / "closed.obj", folder_ / "meshes" / "closed.obj");
    write("captions.csv", "path,caption\nclosed.obj,a wedge\n");
  }
  void TearDown() override { fs::remove_all(folder_); }

 protected:
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  Ending run(const Words& arguments, const RunLimits& limits = {}) const {
    return run_forked(arguments, folder_, limits);
  }
  fs::path folder_;
};

Words split(const std::string& text) {
  std::istringstream in(text);
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

std::string join(const Words& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + (word.empty() ? "''" : word);
  return text;
}

void visit_commands(const CLI::App& app, const std::function<void(const CLI::App&)>& visit) {
  const auto commands = app.get_subcommands([](const CLI::App*) { return true; });
  for (const CLI::App* command : commands) visit_commands(*command, visit);
  if (commands.empty()) visit(app);
}

// Calls visit("mesh render", option) for every option of every command.
void visit_options(const std::function<void(const std::string&, const CLI::Option&)>& visit) {
  const auto app = make_command_line();
  visit_commands(*app, [&](const CLI::App& command) {
    for (const CLI::Option* option : command.get_options())
      visit(command_path(command).substr(std::string("omni ").size()), *option);
  });
}

TEST_F(CommandLine, MistakesAreNamedOnceWithWhatWouldBeRight) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"pretrian x.yaml",
       "omni has no command 'pretrian'. Did you mean 'pretrain'\\? Commands here: info, .*"},
      {"mesh", "omni mesh needs a command: check, convert, .*"},
      {"mesh paint x", "omni mesh has no command 'paint'. .*Commands here: check, convert, .*"},
      {"--log debug mesh paint", "omni mesh has no command 'paint'. .*"},
      {"help mesh rendr", "omni mesh has no command 'rendr'. Did you mean 'render'\\? .*"},
      {"mesh render closed.obj --azimut 30 --out a.png",
       "omni mesh render has no option --azimut. Did you mean --azimuth\\?"},
      {"mesh render closed.obj --azimut=30",
       "omni mesh render has no option --azimut. Did you mean --azimuth\\?"},
      {"mesh render closed.obj --qqqqqqqq",
       "omni mesh render has no option --qqqqqqqq. See omni mesh render --help"},
      {"tokenizer train shape --data world",
       "omni tokenizer train shape has no option --data. Did you mean --source\\?"},
      {"data preview --seed=3 --out a.png",
       "omni data preview has no option --seed. Did you mean --world-seed\\?"},
      {"sample --modle x --prompt y", "omni sample has no option --modle. Did you mean --model\\?"},
      {"mesh render closed.obj", "omni mesh render: --out is missing: .*"},
      {"mesh convert closed.obj", "omni mesh convert: out is missing: output file; .*"},
      {"mesh convert closed.obj a.ply b.ply", "omni mesh convert: the argument 'b.ply' is one too many. .*"},
      {"mesh render closed.obj --size", "omni mesh render: --size needs a value"},
      {"info system --json=sometimes", "omni info system: --json takes no value"},
      {"mesh render closed.obj --out a.png --azimuth nan", "--azimuth must be a number, not 'nan'"},
      {"mesh render closed.obj --out a.png --size 9", "--size is 9; it must be from 16 to 2048"},
      {"mesh compare closed.obj closed.obj --seed -1", "--seed is -1; it must be at least 0"},
      {"data import meshes --out w --up w", "--up is 'w'; it must be one of y, z.*"},
      {"data import meshes --out w --label windin", "--label is 'windin'; .*Did you mean 'winding'\\?"},
      {"pretrain x.yaml --profile 10..12", "--profile 10..12; it takes steps=FIRST..LAST, .*"},
      {"pretrain x.yaml --profile steps=0..2", "--profile steps=0..2; it takes steps=FIRST..LAST, .*"},
      {"pretrain x.yaml --profile steps=3..4x", "--profile steps=3..4x; it takes steps=FIRST..LAST, .*"},
      {"pretrain x.yaml --profile steps=5..4", "--profile steps=5..4: between 1 and 100 steps .*"},
      {"pretrain x.yaml --profile steps=1..101", "--profile steps=1..101: between 1 and 100 steps .*"},
      {"plot meshes --out a.html", "'meshes' holds no run: there is no '.*meshes/metrics.jsonl'. .*"},
      {"plot absent --out a.svg", "--out a.svg: name a folder, .*"},
      {"plot absent --out meshes", "cannot write the folder 'meshes': it holds other things, .*"},
      {"--log loud info system", "log level 'loud' is unknown. .*"},
  };
  for (const auto& [arguments, wanted] : cases) {
    const Ending ending = run(split(arguments));
    EXPECT_EQ(ending.code, 2) << arguments;
    EXPECT_TRUE(std::regex_match(ending.output, std::regex("omni: " + wanted + "\n")))
        << "omni " << arguments << "\n"
        << ending.output << "wanted: " << wanted;
  }
}

TEST_F(CommandLine, HelpIsPrintedOnItsOwnAndForEveryCommand) {
  const Ending alone = run({});
  EXPECT_EQ(alone.code, 0);
  EXPECT_EQ(run({"help"}).output, alone.output);
  EXPECT_EQ(run({"--help"}).output, alone.output);
  EXPECT_THAT(alone.output, HasSubstr("Usage: omni [OPTIONS] COMMAND"));
  const Ending render = run({"help", "mesh", "render"});
  EXPECT_EQ(render.code, 0);
  EXPECT_EQ(run({"mesh", "render", "--help"}).output, render.output);
  EXPECT_THAT(render.output, HasSubstr("Usage: omni mesh render [OPTIONS] mesh"));
  EXPECT_THAT(render.output, ContainsRegex("--size NUMBER=256 +pixels a side \\(from 16 to 2048\\)"));
  EXPECT_THAT(render.output, Not(HasSubstr("Exit codes")));
}

TEST_F(CommandLine, TheExitCodesStandInTheHelp) {
  const std::string help = run({}).output;
  for (const ErrorKind kind : {ErrorKind::usage, ErrorKind::input, ErrorKind::io, ErrorKind::internal,
                               ErrorKind::out_of_memory, ErrorKind::stopped, ErrorKind::interrupted})
    EXPECT_THAT(help, ContainsRegex("\n +" + std::to_string(exit_code(kind)) + "  [a-z]"));
  int last = -1;
  for (const ExitCode& code : exit_codes()) {
    EXPECT_GT(code.code, last);
    last = code.code;
    EXPECT_THAT(help, HasSubstr(std::to_string(code.code) + "  " + std::string(code.meaning)));
  }
}

TEST_F(CommandLine, OptionsAreDescribedInWords) {
  const std::regex raw("INT|FLOAT|BOOLEAN|ENUM|[:{]");
  visit_options([&](const std::string& command, const CLI::Option& option) {
    EXPECT_FALSE(std::regex_search(option.get_type_name(), raw))
        << command << ' ' << option.get_name() << ": " << option.get_type_name()
        << ". Add it with one of the functions of options.h";
  });
}

// The word after it is an option of its own.
TEST_F(CommandLine, AnEmptyValueIsEmpty) {
  const Ending ending = run({"data", "import", "meshes", "--up=", "--out", "w"});
  EXPECT_EQ(ending.code, 2);
  EXPECT_THAT(ending.output, HasSubstr("--up is ''"));
}

TEST_F(CommandLine, NoSampleWritesAFileTwiceOrOverWhatItReads) {
  const std::string model = "--model " + std::string(OMNI_SOURCE_DIR) + "/models/tiny/bundle ";
  EXPECT_EQ(run(split("mesh render closed.obj --views 1 --size 64 --out in.png")).code, 0);
  for (const char* files : {"--prompt chair --preview p1.png --turntable p1.png",
                            "--prompt chair --count 2 --preview z_0.png --turntable z.png",
                            "--image in.png --preview ./in.png"}) {
    const Ending ending = run(split("sample " + model + files));
    EXPECT_EQ(ending.code, 2) << files << ending.output;
    EXPECT_THAT(ending.output, HasSubstr(" would ")) << files;
  }
}

TEST_F(CommandLine, APlaceThatTakesNoFileIsRefusedBeforeSampling) {
  const Ending ending = run(split("sample --model " + std::string(OMNI_SOURCE_DIR) +
                                  "/models/tiny/bundle --prompt chair --out /proc/x.glb"));
  EXPECT_EQ(ending.code, 4) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("/proc"));
}

TEST_F(CommandLine, SettingsWithoutEffectAreNamed) {
  const Ending ending =
      run(split("sample --model " + std::string(OMNI_SOURCE_DIR) +
                "/models/tiny/bundle --prompt chair --out meshes/closed.obj/x.png --top-k 5 "
                "--faces 100 --guidance-schedule linear --guidance 1"));
  EXPECT_EQ(ending.code, 4) << ending.output;
  for (const char* setting : {"--top-k has no effect", "--faces has no effect", "linear has no effect"})
    EXPECT_THAT(ending.output, HasSubstr(setting));
}

TEST_F(CommandLine, FewerFacesThanAClosedMeshHasAreRefused) {
  EXPECT_EQ(run(split("mesh simplify closed.obj a.obj --faces 3")).code, 2);
  EXPECT_FALSE(fs::exists(folder_ / "a.obj"));
}

TEST_F(CommandLine, OfAnOptionGivenTwiceTheLastCounts) {
  EXPECT_EQ(run(split("mesh render closed.obj --size 2048 --size 16 --views 1 --out a.png --out b.png")).code,
            0);
  EXPECT_FALSE(fs::exists(folder_ / "a.png"));
  EXPECT_TRUE(fs::exists(folder_ / "b.png"));
}

TEST_F(CommandLine, ChecksSeveralMeshesAndEndsWithTheWorst) {
  const Ending both = run(split("mesh check closed.obj open.obj"));
  EXPECT_EQ(both.code, kExitNo);
  EXPECT_THAT(both.output, testing::ContainsRegex("^closed.obj\ntriangles +4\n"));
  EXPECT_THAT(both.output, HasSubstr("\n\nopen.obj\n"));
  EXPECT_EQ(run(split("mesh check open.obj noise.glb closed.obj")).code, exit_code(ErrorKind::input));
  EXPECT_EQ(run(split("mesh check absent.glb noise.glb")).code, exit_code(ErrorKind::io));
}

TEST_F(CommandLine, OutOfMemorySaysWhatToMakeSmaller) {
  if (test::kSanitized) GTEST_SKIP() << "a sanitizer's own memory counts, too";
  const Ending ending = run(split("data preview --count 30 --size 2048 --out sheet.png"),
                            {.more_memory_bytes = std::size_t{300} << 20});
  EXPECT_EQ(ending.code, exit_code(ErrorKind::out_of_memory)) << ending.output;
  EXPECT_THAT(ending.output,
              HasSubstr("omni data preview: out of memory. Make smaller: --count or --size\n"));
  EXPECT_FALSE(fs::exists(folder_ / "sheet.png"));
}

TEST_F(CommandLine, NoNumberOptionTakesWhatIsNoFiniteNumber) {
  int options = 0;
  visit_options([&](const std::string& command, const CLI::Option& option) {
    if (option.get_type_name() != "NUMBER") return;
    ++options;
    for (const char* value : {"", "nan", "-nan", "inf", "-inf", "1e308", "-1e308", "1e999",
                              "99999999999999999999", "0x10", "1,5", "five"}) {
      Words words = split("omni " + command);
      words.insert(words.end(), {option.get_name(), value});
      std::vector<const char*> arguments;
      for (const std::string& word : words) arguments.push_back(word.c_str());
      try {
        make_command_line()->parse(static_cast<int>(arguments.size()), arguments.data());
        ADD_FAILURE() << join(words) << " is taken";
      } catch (const Error& error) {
        EXPECT_EQ(error.kind(), ErrorKind::usage) << join(words);
        EXPECT_THAT(error.what(), StartsWith(option.get_name() + " ")) << join(words);
      } catch (const CLI::ParseError&) {
        ADD_FAILURE() << join(words) << " is taken";
      }
    }
  });
  EXPECT_GT(options, 40);
}

class CommandLineSlow : public CommandLine {
 protected:
  // A command line that works, or fails early, for every command.
  std::map<std::string, Words> complete_commands() const {
    const std::string models = OMNI_SOURCE_DIR "/models/tiny", configs = OMNI_SOURCE_DIR "/configs";
    const std::string text = models + "/text_tokenizer.json", image = models + "/image_tokenizer",
                      shape = models + "/shape_tokenizer";
    return {
        {"info system", {}},
        {"info bundle", split("absent")},
        {"info model", {configs + "/model/tiny.yaml"}},
        {"mesh check", split("closed.obj")},
        {"mesh convert", split("closed.obj out.ply")},
        {"mesh simplify", split("closed.obj out.stl --faces 2")},
        {"mesh render", split("closed.obj --views 1 --size 16 --out view.png")},
        {"mesh compare", split("closed.obj closed.obj --points 50 --grid 4")},
        {"data synth", split("--out world --count 1 --no-renders")},
        {"data import", split("meshes --captions captions.csv --no-renders --out imported")},
        {"data preview", split("--count 1 --size 8 --out world.png")},
        {"data tokenize", {"--text-tokenizer", text, "--count", "1", "--out", "tokens"}},
        {"tokenizer train text", split("--out text.json --dry-run")},
        {"tokenizer train image", split("--out image --dry-run")},
        {"tokenizer train shape", split("--out shape --dry-run")},
        {"tokenizer eval image", {image, "--objects", "1", "--views", "1"}},
        {"tokenizer eval shape", {shape, "--objects", "1"}},
        {"tokenizer encode shape", {shape, "closed.obj"}},
        {"tokenizer decode shape", {shape, "codes.yaml", "--out", "decoded.obj"}},
        {"tokenizer import llamagen", split("noise.glb --out llamagen")},
        {"tokenizer import cube3d", split("noise.glb --out cube3d")},
        {"tokenizer verify cube3d", split("--weights noise.glb --config noise.glb --expected noise.glb")},
        {"pretrain", {configs + "/tiny/pretrain.yaml", "--dry-run"}},
        {"continue", {configs + "/tiny/continue.yaml", "--dry-run"}},
        {"finetune", {configs + "/tiny/finetune.yaml", "--dry-run"}},
        {"checkpoint show", split("absent")},
        {"checkpoint verify", split("absent")},
        {"checkpoint convert", split("absent out")},
        {"checkpoint export", split("absent out")},
        {"import cube3d", split("noise.glb --text noise.glb --out model")},
        {"import clip", split("noise.glb --out model")},
        {"import qwen3", split("noise.glb --out model")},
        {"model verify cube3d", split("--weights noise.glb --config noise.glb --expected noise.glb")},
        {"model verify clip", split("--weights noise.glb --config noise.glb --expected noise.glb")},
        {"model verify qwen3", split("--weights noise.glb --config noise.glb --expected noise.glb")},
        {"model verify panels", split("--weights noise.glb")},
        {"init", split("--from absent --image absent --out model")},
        {"sample", split("--model absent --prompt x --out x.glb")},
        {"eval", {configs + "/eval/demo.yaml", "--dry-run"}},
        {"plot", split("absent --out plot.html")},
        {"help", {}},
    };
  }

  void expect_a_code_of_the_table(const Words& words) const {
    RunLimits limits{.seconds = 1};
    if (!test::kSanitized) limits.more_memory_bytes = std::size_t{4} << 30;
    const Ending ending = run(words, limits);
    if (ending.stopped) return;  // a large number that is fine takes its time
    const auto good = {kExitDone,
                       kExitNo,
                       exit_code(ErrorKind::usage),
                       exit_code(ErrorKind::input),
                       exit_code(ErrorKind::io),
                       exit_code(ErrorKind::out_of_memory)};
    EXPECT_THAT(good, testing::Contains(ending.code)) << "omni " << join(words) << '\n' << ending.output;
  }
};

TEST_F(CommandLineSlow, NoOptionEndsBeyondTheTable) {
  const auto complete = complete_commands();
  visit_options([&](const std::string& command, const CLI::Option& option) {
    const auto found = complete.find(command);
    ASSERT_NE(found, complete.end()) << "give a complete command line for " << command;
    if (option.get_expected_max() == 0 || option.get_positional()) return;
    const bool number = option.get_type_name() == "NUMBER";
    const Words values =
        number ? Words{"-1", "0", "1", "1e-30", "2147483648", "9223372036854775807", "18446744073709551615"}
               : Words{"", "/proc/nowhere/x", "-1"};
    for (const std::string& value : values) {
      Words words = split(command);
      words.insert(words.end(), found->second.begin(), found->second.end());
      words.insert(words.end(), {option.get_name(), value});
      expect_a_code_of_the_table(words);
    }
  });
}

// Every number of the config that a dry run prints, as "model.width".
Words number_keys(const YAML::Node& node, const std::string& path) {
  Words keys;
  const auto add = [&](const YAML::Node& child, const std::string& name) {
    const Words below = number_keys(child, path.empty() ? name : path + "." + name);
    keys.insert(keys.end(), below.begin(), below.end());
  };
  double number = 0;
  if (node.IsMap())
    for (const auto& item : node) add(item.second, item.first.Scalar());
  else if (node.IsSequence())
    for (std::size_t i = 0; i < node.size(); ++i) add(node[i], std::to_string(i));
  else if (node.IsScalar() && YAML::convert<double>::decode(node, number))
    keys.push_back(path);
  return keys;
}

TEST_F(CommandLineSlow, TrainingOutOfMemoryNamesThePartAndTheKey) {
  if (test::kSanitized) GTEST_SKIP() << "a sanitizer's own memory counts, too";
  fs::create_directory_symlink(OMNI_SOURCE_DIR "/models", folder_ / "models");
  const Ending ending = run({"pretrain", OMNI_SOURCE_DIR "/configs/tiny/pretrain.yaml", "--out", "run",
                             "--set", "shards=[" OMNI_SOURCE_DIR "/tests/fixtures/golden/tokens]", "--set",
                             "tokens_per_step=262144", "--set", "tokens_per_micro_batch=262144"},
                            {.seconds = 300, .more_memory_bytes = std::size_t{1500} << 20});
  EXPECT_EQ(ending.code, exit_code(ErrorKind::out_of_memory)) << ending.output;
  EXPECT_THAT(ending.output, HasSubstr("out of memory in the forward and backward passes of step 1"));
  EXPECT_THAT(ending.output, HasSubstr("Lower tokens_per_micro_batch (262144), or set recompute: true"));
}

TEST_F(CommandLineSlow, NoNumberInYamlEndsBeyondTheTable) {
  const auto complete = complete_commands();
  fs::create_directory_symlink(OMNI_SOURCE_DIR "/models", folder_ / "models");  // which the configs name
  for (const char* command :
       {"tokenizer train text", "tokenizer train image", "tokenizer train shape", "pretrain", "eval"}) {
    Words words = split(command);
    words.insert(words.end(), complete.at(command).begin(), complete.at(command).end());
    if (command == std::string_view("eval"))  // its config names what the demo makes
      words.insert(words.end(), {"--set", "bundles=[{name: box, path: models/tiny/bundle}]", "--set",
                                 "controls.training_shards=[]"});
    const Ending dry = run(words);
    ASSERT_EQ(dry.code, 0) << join(words) << '\n' << dry.output;
    const Words keys = number_keys(YAML::Load(dry.output), "");
    EXPECT_GT(keys.size(), 2u) << command;
    for (const std::string& key : keys)
      for (const char* value : {".nan", ".inf", "-1", "0", "1e308", "9223372036854775807", "''"}) {
        Words changed = words;
        changed.insert(changed.end(), {"--set", key + "=" + value});
        expect_a_code_of_the_table(changed);
      }
  }
}

}  // namespace
}  // namespace omni::tools
