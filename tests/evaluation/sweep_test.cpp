#include "omni/evaluation/sweep.h"

#include <gtest/gtest.h>

#include <fstream>

#include "../generation/generation_fixtures.h"
#include "omni/core/error.h"
#include "omni/core/files.h"
#include "omni/core/json_text.h"
#include "omni/data/tokenize.h"
#include "omni/evaluation/bundle_figures.h"
#include "omni/evaluation/report.h"
#include "temporary_directory.h"
#include "unit_runner.h"
#include "xml_check.h"

namespace omni::evaluation {
namespace {

class Sweep : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new test::TemporaryDirectory();
    model::save_bundle(generation::testing::tiny_bundle(true, 160), *folder_ / "bundle");
  }
  static void TearDownTestSuite() { delete folder_; }
  static test::TemporaryDirectory* folder_;

  static SweepConfig config() {
    SweepConfig config;
    config.title = "Test <sweep>";
    config.bundles = {{"tiny", (*folder_ / "bundle").string()}};
    config.splits = {"new_instance", "unseen_colour"};
    config.prompts_per_split = 2;
    config.tasks = {{"text->shape", 0}, {"image->shape", 1}, {"text->image", 1}, {"shape->text", 1}};
    config.controls.nearest_objects = 40;
    config.controls.reference_objects = 10;
    config.mesh_resolution = 24;
    config.iou_resolution = 16;
    config.surface_points = 64;
    config.bootstrap_samples = 50;
    config.chunk = 3;
    config.gallery = 2;
    config.picture_pixels = 24;
    return config;
  }
};
test::TemporaryDirectory* Sweep::folder_ = nullptr;

SweepOutcome run_in(SweepConfig config, const std::filesystem::path& output) {
  config.output = output.string();
  return run_sweep(config);
}

TEST_F(Sweep, ASecondRunDoesNothing) {
  const auto output = *folder_ / "resume";
  const SweepOutcome first = run_in(config(), output);
  EXPECT_EQ(first.units_found, 0);
  EXPECT_EQ(first.units_run, 2 + 2 + 1 + 1 + 1);  // controls, text->shape, and one unit each
  const std::string results = read_file_text(output / "results.jsonl");
  const SweepOutcome second = run_in(config(), output);
  EXPECT_EQ(second.units_run, 0);
  EXPECT_EQ(read_file_text(output / "results.jsonl"), results);

  // What sampling and an earlier evaluation leave in the bundle is not of the model.
  for (const char* left : {"model.int8.panels", "model.int8.panels.7.0.tmp", "figures.json"})
    write_file_atomically(*folder_ / "bundle" / left, std::string_view("{}"));
  EXPECT_EQ(run_in(config(), output).units_run, 0);
  for (const char* left : {"model.int8.panels", "model.int8.panels.7.0.tmp", "figures.json"})
    std::filesystem::remove(*folder_ / "bundle" / left);

  SweepConfig more = config();
  more.seeds = {1, 2};
  EXPECT_EQ(run_in(more, output).units_run, 2 + 1 + 1 + 1) << "only the new seed's units";

  std::ofstream(output / "results.jsonl", std::ios::app) << "{\"key\": \"torn";
  EXPECT_EQ(run_in(more, output).units_run, 0);
}

TEST_F(Sweep, WritesTableSummaryAndPage) {
  const auto output = *folder_ / "page";
  SweepConfig swept = config();
  write_file_atomically(
      *folder_ / "metrics.jsonl",
      std::string_view(
          "{\"stage\":\"pretrain\",\"step\":1,\"loss\":5,\"loss_shape\":5,\"tokens_per_second\":9,"
          "\"seconds\":1}\n{\"step\":2,\"loss\":4,\"loss_shape\":4,\"seconds\":2}\ntorn{"));
  swept.metrics = {(*folder_ / "metrics.jsonl").string(), "missing.jsonl"};
  swept.save_meshes = true;
  swept.keep_figures = true;
  EXPECT_TRUE(read_bundle_figures(*folder_ / "bundle").empty()) << "never measured";
  const SweepOutcome outcome = run_in(swept, output);
  const std::vector<BundleFigure> figures = read_bundle_figures(*folder_ / "bundle");
  EXPECT_EQ(figures, figures_of(outcome.summary, "tiny"));
  const auto& iou = outcome.summary.tasks.front().splits.at("all").at("iou");
  EXPECT_EQ(figures.front(), (BundleFigure{"text->shape", "default", "iou", iou.mean, iou.low, iou.high, 4}));

  const auto summary = parse_json(read_file_text(output / "summary.json"));
  for (const char* key :
       {"seconds", "shape_reconstruction_iou", "image_psnr_db", "text_to_shape_iou", "text_to_shape_colour",
        "text_to_shape_closed", "shuffled_iou", "nearest_iou", "ceiling_iou", "image_to_shape_iou"}) {
    ASSERT_TRUE(summary.contains(key)) << key;
    EXPECT_EQ(summary[key].is_number(), std::string(key) != "seconds") << key;
  }
  EXPECT_EQ(summary["details"].size(), 4u);
  EXPECT_TRUE(summary["details"][0]["splits"]["unseen_colour"]["iou"].contains("low"));

  const std::string csv = read_file_text(output / "results.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 4 + 4 + 2 + 2 + 2);

  const std::string page = read_file_text(output / "report.html");
  for (const char* section :
       {"id=\"figures\"", "id=\"controls\"", "id=\"training\"", "id=\"gallery\"", "id=\"settings\"",
        "Test &lt;sweep&gt;", "data:image/png;base64,", "<svg", "<polyline", "missing.jsonl"}) {
    EXPECT_NE(page.find(section), std::string::npos) << section;
  }
  EXPECT_EQ(page.find("id=\"comparison\""), std::string::npos) << "there is one setting";
  EXPECT_EQ(page.find("is missing"), std::string::npos) << "every picture is there";
  EXPECT_EQ(test::xml_problem(page), "");
}

// All training objects are tried at the sweep's own resolution.
double best_by_trying(const SweepConfig& config, const data::ObjectRecord& object) {
  data::SourceSpec spec;
  spec.count = config.controls.nearest_objects;
  const auto source = data::open_source(spec);
  const auto resolution = static_cast<int>(config.iou_resolution);
  const geometry::OccupancyBits truth(*object.field, resolution);
  double best = 0;
  for (std::int64_t i = 0; i < source->size(); ++i)
    best = std::max(best,
                    intersection_over_union(geometry::OccupancyBits(*source->field(i), resolution), truth));
  return best;
}

TEST_F(Sweep, ComparesWithWhatRetrievalWouldGive) {
  SweepConfig swept = config();
  swept.tasks = {{"text->shape", 2}, {"image->shape", 2}};
  swept.controls.nearest_objects = 30;
  swept.iou_resolution = 32;
  data::SourceSpec trained;
  trained.count = 12;
  const model::Bundle bundle = model::load_bundle(*folder_ / "bundle");
  data::tokenize(*data::open_source(trained), bundle.tokenizers, {.views_per_object = 4},
                 *folder_ / "shards");
  swept.controls.training_shards = {(*folder_ / "shards").string()};
  const auto output = *folder_ / "retrieval";
  (void)run_in(swept, output);

  data::SourceSpec held_out;
  held_out.split = data::Split::new_instance;
  held_out.count = 2;
  const auto objects = data::open_source(held_out);
  int compared = 0, pictures = 0;
  std::istringstream lines(read_file_text(output / "results.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto unit = parse_json(line);
    for (const auto& sample : unit["samples"]) {
      const auto& metrics = sample["metrics"];
      if (metrics.contains("nearest_picture_iou")) ++pictures;
      EXPECT_EQ(metrics.contains("iou"), metrics.contains("verbatim"));
      for (std::int64_t i = 0; metrics.contains("best_training_iou") && i < 2; ++i) {
        const data::ObjectRecord object = objects->load(i);
        if (sample["object"] != object.id) continue;
        EXPECT_NEAR(metrics["best_training_iou"].get<double>(), best_by_trying(swept, object), 1e-9);
        ++compared;
      }
    }
  }
  EXPECT_EQ(compared, 2);
  EXPECT_EQ(pictures, 4);

  const auto summary = parse_json(read_file_text(output / "summary.json"));
  const auto& figures = summary["details"][1]["splits"]["all"];
  EXPECT_NEAR(figures["over_retrieval"]["mean"].get<double>(),
              figures["iou"]["mean"].get<double>() - figures["nearest_picture_iou"]["mean"].get<double>(),
              1e-9);
  EXPECT_TRUE(summary["text_to_shape_verbatim"].is_number());
  EXPECT_TRUE(summary["image_to_shape_over_retrieval"].is_number());
}

TEST_F(Sweep, TakesPromptsWithoutTruth) {
  write_file_atomically(*folder_ / "prompts.txt", std::string_view("a red chair\r\n\na <b>tower</b>\n"));
  SweepConfig bare = config();
  bare.prompts_file = (*folder_ / "prompts.txt").string();
  bare.tasks = {{"text->shape", 0}};
  const auto output = *folder_ / "prompts";
  EXPECT_EQ(run_in(bare, output).units_run, 1);
  EXPECT_EQ(test::xml_problem(read_file_text(output / "report.html")), "");
  bare.tasks = {{"image->shape", 0}};
  EXPECT_THROW((void)run_in(bare, *folder_ / "no-images"), Error);
}

TEST_F(Sweep, RefusesWhatCannotBeRun) {
  SweepConfig missing = config();
  missing.bundles = {{"x", (*folder_ / "nothing").string()}};
  EXPECT_THROW((void)run_in(missing, *folder_ / "out"), Error);
  const auto refuses = [](const std::function<void(SweepConfig&)>& change) {
    SweepConfig changed = config();
    change(changed);
    EXPECT_THROW(validate(changed), Error);
  };
  refuses([](SweepConfig& c) { c.bundles.clear(); });
  refuses([](SweepConfig& c) { c.tasks = {{"", 0}}; });
  refuses([](SweepConfig& c) { c.tasks.push_back(c.tasks.front()); });
  refuses([](SweepConfig& c) { c.splits = {"unseen"}; });
  refuses([](SweepConfig& c) { c.settings[0].guidance = "sound=2"; });
  refuses([](SweepConfig& c) { c.seeds.clear(); });
}

TEST_F(Sweep, LeavesTheReportsOfOthersAlone) {
  const auto output = *folder_ / "own";
  std::filesystem::create_directories(output);
  for (const char* name : {"report.html", "summary.json", "results.csv"}) {
    write_file_atomically(output / name, std::string_view("mine"));
    EXPECT_THROW((void)run_in(config(), output), Error) << name;
    EXPECT_EQ(read_file_text(output / name), "mine");
    std::filesystem::remove(output / name);
  }
  EXPECT_TRUE(std::filesystem::is_empty(output));
}

TEST_F(Sweep, ChecksWhatItNeedsWithoutRunning) {
  SweepConfig swept = config();
  swept.output = (*folder_ / "checked").string();
  EXPECT_NO_THROW(check_sweep(swept));
  EXPECT_FALSE(std::filesystem::exists(swept.output));
  const auto refuses = [&](const std::function<void(SweepConfig&)>& change) {
    SweepConfig changed = swept;
    change(changed);
    EXPECT_THROW(check_sweep(changed), Error);
  };
  refuses([&](SweepConfig& c) { c.bundles = {{"x", (*folder_ / "nothing").string()}}; });
  refuses([](SweepConfig& c) { c.tasks.front().name = "text->music"; });
  refuses([&](SweepConfig& c) { c.prompts_file = (*folder_ / "nothing.txt").string(); });
  refuses([&](SweepConfig& c) { c.controls.training_shards = {(*folder_ / "nothing").string()}; });
}

TEST_F(Sweep, MeasuresTheModelsOwnTasks) {
  sequence::Task own = sequence::built_in_task("text->shape");
  own.name = "from words";
  model::Bundle bundle = generation::testing::tiny_bundle(true, 160);
  bundle.tasks = {own};
  model::save_bundle(bundle, *folder_ / "own");
  SweepConfig swept = config();
  swept.bundles = {{"own", (*folder_ / "own").string()}};
  swept.tasks = {{"from words", 1}};
  EXPECT_GT(run_in(swept, *folder_ / "own-tasks").units_run, 0);
  const auto error_of = [&](const std::string& task) -> std::string {
    SweepConfig changed = swept;
    changed.tasks = {{task, 1}};
    try {
      (void)run_in(changed, *folder_ / "refused-tasks");
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_NE(error_of("from word").find("Did you mean \"from words\"?"), std::string::npos);
  EXPECT_NE(error_of("image+text->image").find("edits pictures"), std::string::npos);
}

TEST_F(Sweep, MeasuresEditsBesideCopiesAndTheTokenizer) {
  SweepConfig swept = config();
  swept.tasks = {
      {"text->shape", 2}, {"shape+text->shape", 3}, {"shape+text->shape", 1, data::CaptionKind::reworded}};
  const auto output = *folder_ / "edits";
  (void)run_in(swept, output);
  const auto summary = parse_json(read_file_text(output / "summary.json"));
  for (const char* key : {"edit_class_kept", "edited_right", "edit_untouched_kept", "edit_right",
                          "copy_edit_right", "ceiling_edit_right"})
    EXPECT_TRUE(summary[key].is_number()) << key;
  const auto& edits = summary["details"][1]["splits"];
  for (const char* metric : {"iou", "class_kept", "edited_right", "edit_right", "copy_iou", "copy_edit_right",
                             "ceiling_iou", "ceiling_edited_right"}) {
    EXPECT_EQ(edits["all"][metric]["count"], 6) << metric;
    EXPECT_TRUE(edits["new_instance"][metric].contains("low")) << metric;
  }
  EXPECT_GT(edits["all"]["untouched_kept"]["count"], 3) << "edits that leave something alone";
  EXPECT_FALSE(edits["all"].contains("nearest_iou")) << "those are of objects as they are";
  EXPECT_EQ(summary["details"][2]["task"], "shape+text->shape, reworded prompts");
  EXPECT_EQ(summary["details"][0]["splits"]["all"]["iou"]["count"], 4);
  const std::string csv = read_file_text(output / "results.csv");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 1 + 4 + 4 + 6 + 2);
  const std::string page = read_file_text(output / "report.html");
  EXPECT_NE(page.find("untouched parts kept"), std::string::npos);
  EXPECT_EQ(test::xml_problem(page), "");
  EXPECT_EQ(run_in(swept, output).units_run, 0);

  swept.source.variation = 0.5;
  EXPECT_THROW((void)run_in(swept, *folder_ / "varied"), Error);
}

TEST(SweepConfigFile, IsStrict) {
  const auto read = [](const std::string& text) {
    SweepConfig config;
    ConfigFile::parse(text, "sweep.yaml").read([&](ConfigVisitor& visitor) { describe(visitor, config); });
    return config;
  };
  const SweepConfig config = read(
      "tasks: [{name: text->shape}]\nsettings: [{temperature: 0.5, guidance: 'text=2'}]\nseeds: [1, 2]\n");
  EXPECT_EQ(config.tasks.at(0).name, "text->shape");
  EXPECT_EQ(config.settings.at(0).temperature, 0.5);
  EXPECT_THROW((void)read("taskz: []\n"), Error);
  EXPECT_THROW((void)read("settings: [{temperature: warm}]\n"), Error);
  EXPECT_THROW((void)read("chunk: 0\n"), Error);
  const auto error_of = [&](const std::string& text) -> std::string {
    try {
      (void)read(text);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const std::string split = error_of("splits: [unseen_color]\n");
  EXPECT_EQ(split.find("sweep.yaml:1:10: "), 0u) << split;
  EXPECT_NE(split.find("'unseen_colour'?"), std::string::npos) << split;
  EXPECT_NO_THROW((void)load_sweep_config(std::string(OMNI_SOURCE_DIR) + "/configs/eval/demo.yaml", {}));
}

// Sweeps of before `data` had that name are read as they were meant.
TEST(SweepConfig, ReadsItsSourceOfObjects) {
  const auto read = [](const std::string& text) {
    SweepConfig config;
    ConfigFile::parse(text, "sweep.yaml").read([&](ConfigVisitor& visitor) { describe(visitor, config); });
    return config;
  };
  const SweepConfig now = read("data: {source: out/data, seed: 3, prompts_file: p.txt}\n");
  const SweepConfig older = read("source: {folder: out/data, world_seed: 3, prompts_file: p.txt}\n");
  for (const SweepConfig& config : {now, older}) {
    EXPECT_EQ(config.source.source, "out/data");
    EXPECT_EQ(config.source.seed, 3u);
    EXPECT_EQ(config.prompts_file, "p.txt");
  }
  EXPECT_EQ(read("source: {world_seed: 2}\n").source.source, "procedural");
}

TEST(Derangement, HasNoFixedPoints) {
  for (const std::size_t count : {2u, 3u, 17u, 128u}) {
    std::vector<std::size_t> objects(count);
    for (std::size_t i = 0; i < count; ++i) objects[i] = i + 5;
    std::vector<std::size_t> partner = derange(objects);
    for (std::size_t i = 0; i < count; ++i) EXPECT_NE(partner[i], objects[i]);
    std::sort(partner.begin(), partner.end());
    EXPECT_EQ(partner, objects) << "each object is compared with once";
  }
}

TEST(Derangement, StaysWhatItIs) {
  EXPECT_EQ(derange({0, 1, 2, 3, 4, 5, 6, 7}), (std::vector<std::size_t>{7, 3, 5, 2, 0, 4, 1, 6}));
}

TEST(EscapeHtml, LeavesNothingThatBreaksAPage) {
  EXPECT_EQ(escape_html("<a href='x'>&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&amp;&quot;&lt;/a&gt;");
  EXPECT_EQ(escape_html("gr\xC3\xBCn"), "gr\xC3\xBCn");
  EXPECT_EQ(escape_html(std::string("a\x01\x7f\xC3", 4)), "a\xEF\xBF\xBD");
  EXPECT_EQ(escape_html("\xED\xA0\x80"), "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  EXPECT_EQ(test::xml_problem("<a>" + escape_html("<<&\"'>") + "</a>"), "");
}

TEST(Summary, AveragesSeedsBeforeObjectsAndSplits) {
  SweepConfig config;
  config.bundles = {{"b", "b"}};
  config.tasks = {{"text->shape", 0}};
  config.splits = {"new_instance", "unseen_colour"};
  const auto unit = [](std::int64_t seed, std::vector<std::pair<const char*, double>> values,
                       const char* metric) {
    UnitResult unit{.key = {}, .bundle = "b", .task = "text->shape", .setting = "default", .samples = {}};
    unit.seed = seed;
    for (const auto& [object, value] : values) {
      SampleResult sample{.object = object,
                          .split = object[0] == 'n' ? "new_instance" : "unseen_colour",
                          .class_name = {},
                          .prompt = {},
                          .text = {},
                          .metrics = {{metric, value}},
                          .pictures = {}};
      unit.samples.push_back(std::move(sample));
    }
    return unit;
  };
  std::vector<UnitResult> units = {unit(1, {{"n1", 0.2}, {"u1", 0.5}}, "iou"), unit(2, {{"n1", 0.4}}, "iou"),
                                   unit(1, {{"n1", 0.9}, {"other", 0.1}}, "ceiling_iou")};
  units[2].task = "controls";
  units[2].setting = "";
  const TaskSummary summary = summarise(config, units).tasks.at(0);
  EXPECT_DOUBLE_EQ(summary.splits.at("new_instance").at("iou").mean, 0.3);
  EXPECT_DOUBLE_EQ(summary.splits.at("all").at("iou").mean, 0.4);
  EXPECT_EQ(summary.splits.at("all").at("iou").count, 2);
  EXPECT_DOUBLE_EQ(summary.splits.at("all").at("ceiling_iou").mean, 0.9)
      << "controls of the task's objects alone";
}

TEST(BundleFigures, RefusesWhatIsNone) {
  const test::TemporaryDirectory folder;
  const auto refused = [&](const std::string& text) {
    write_file_atomically(folder / "figures.json", std::string_view(text));
    try {
      (void)read_bundle_figures(folder.path());
      ADD_FAILURE() << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::input) << text;
      EXPECT_NE(std::string(error.what()).find("figures.json"), std::string::npos) << error.what();
    }
  };
  const auto with = [](const std::string& figures) {
    return R"({"format":"omni figures","version":1,"figures":)" + figures + "}";
  };
  write_bundle_figures(folder.path(), {{"text->shape", "greedy", "iou", 0.5, 0.4, 0.6, 8}});
  EXPECT_EQ(read_bundle_figures(folder.path()).size(), 1u);
  for (const std::string& text :
       {std::string(), std::string("[]"), std::string("{}"), with("{}"), with("[1]"), with("[{}]"),
        std::string(R"({"format":"omni figures","version":2,"figures":[]})"),
        with(R"([{"task":"a","setting":"b","metric":"c","mean":1,"low":0,"high":1,"count":0}])"),
        with(R"([{"task":"a","setting":"b","metric":"c","mean":"x","low":0,"high":1,"count":1}])"),
        with(R"([{"task":"","setting":"b","metric":"c","mean":1,"low":0,"high":1,"count":1}])")})
    refused(text);
}

}  // namespace
}  // namespace omni::evaluation
