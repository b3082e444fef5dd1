#pragma once

#include <CLI/CLI.hpp>

namespace omni::tools {

// The subcommands of `omni`, one function per file: each adds its subcommand, options and callback to the
// program.

void add_info_command(CLI::App& app);
void add_info_model_command(CLI::App& info);
void add_mesh_command(CLI::App& app);
void add_data_command(CLI::App& app);
void add_data_preview_command(CLI::App& data);
void add_data_tokenize_command(CLI::App& data);
void add_tokenizer_command(CLI::App& app);
// The rest of `tokenizer`, called by add_tokenizer_command.
void add_tokenizer_train_shape_command(CLI::App& train);
void add_tokenizer_eval_shape_command(CLI::App& eval);
void add_tokenizer_codes_commands(CLI::App& tokenizer);
void add_tokenizer_cube3d_commands(CLI::App& tokenizer);  // after `import`
void add_train_commands(CLI::App& app);                   // pretrain, continue, finetune
void add_checkpoint_command(CLI::App& app);
void add_import_command(CLI::App& app);
void add_init_command(CLI::App& app);
void add_model_command(CLI::App& app);
void add_sample_command(CLI::App& app);
void add_eval_command(CLI::App& app);
void add_plot_command(CLI::App& app);

}  // namespace omni::tools
