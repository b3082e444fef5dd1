#pragma once

namespace omni::evaluation {

// The files of page/, made into strings by the build.
extern const char* const kPageStyle;     // style.css
extern const char* const kViewerScript;  // viewer.js

}  // namespace omni::evaluation
