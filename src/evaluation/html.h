#pragma once

#include <filesystem>
#include <string>

namespace omni::evaluation {

// The frame of the report page.

// The whole page around a body: style sheet, title, language.
std::string html_page(const std::string& title, const std::string& body);
std::string note(const std::string& text);  // a paragraph in soft ink
// An <img> with the PNG's bytes in it, or a note where the file is missing.
std::string inline_picture(const std::filesystem::path& png, const std::string& description);
std::string base64(const std::string& bytes);

}  // namespace omni::evaluation
