# The CUDA plug-in libomni_cuda.so: raw kernels and launchers, compiled by nvcc without Torch's headers. Without nvcc
# (or with OMNI_CUDA=OFF) the CPU build is complete.
if(NOT OMNI_CUDA STREQUAL "OFF")
  include(CheckLanguage)
  set(CMAKE_CUDA_ARCHITECTURES 80 90a CACHE STRING "GPU architectures of the plug-in")
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    file(GLOB _cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/kernels/cuda/*.cu")
    add_library(omni_cuda MODULE ${_cuda_sources})
    set_target_properties(omni_cuda PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}"
      CUDA_STANDARD 17 CUDA_RUNTIME_LIBRARY Static CUDA_VISIBILITY_PRESET default)
    install(TARGETS omni_cuda LIBRARY DESTINATION lib)
  elseif(OMNI_CUDA STREQUAL "ON")
    message(FATAL_ERROR "OMNI_CUDA=ON, but there is no nvcc. Install the CUDA Toolkit 13 or set OMNI_CUDA=AUTO")
  else()
    message(STATUS "no nvcc: building for the CPU alone")
  endif()
endif()
