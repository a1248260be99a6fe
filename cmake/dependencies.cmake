# Every third-party target in one place. tools/install_dependencies.sh has put them there.
find_package(Threads REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(simdjson REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CURL REQUIRED)
find_package(pugixml REQUIRED)
find_package(ZLIB REQUIRED)
find_package(zstd REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED IMPORTED_TARGET re2)
find_package(GTest REQUIRED)
find_package(benchmark REQUIRED)

set(millrace_dependencies ${PROJECT_SOURCE_DIR}/build/dependencies)
if(NOT EXISTS ${millrace_dependencies}/include/duckdb.h)
  message(FATAL_ERROR "${millrace_dependencies} is missing: run tools/install_dependencies.sh")
endif()

# The pinned libraries have no unversioned links, so each is an imported target by its file.
function(mr_imported_library target pattern)
  file(GLOB path ${millrace_dependencies}/lib/${pattern})
  if(NOT path)
    message(FATAL_ERROR "${millrace_dependencies}/lib/${pattern} is missing")
  endif()
  get_filename_component(file_name ${path} NAME)
  add_library(${target} SHARED IMPORTED GLOBAL)
  set_target_properties(${target} PROPERTIES
    IMPORTED_LOCATION ${path}
    IMPORTED_SONAME ${file_name}
    INTERFACE_INCLUDE_DIRECTORIES ${millrace_dependencies}/include)
endfunction()

mr_imported_library(Arrow::arrow "libarrow.so.*")
mr_imported_library(Arrow::s3 "libarrow_s3.so.*")
mr_imported_library(Arrow::parquet "libparquet.so.*")
mr_imported_library(DuckDB::duckdb "libduckdb.so")
set_property(TARGET Arrow::s3 Arrow::parquet PROPERTY INTERFACE_LINK_LIBRARIES Arrow::arrow)

add_library(RdKafka::rdkafka STATIC IMPORTED GLOBAL)
set_target_properties(RdKafka::rdkafka PROPERTIES
  IMPORTED_LOCATION ${millrace_dependencies}/lib/librdkafka.a
  INTERFACE_INCLUDE_DIRECTORIES ${millrace_dependencies}/include
  INTERFACE_LINK_LIBRARIES "OpenSSL::SSL;OpenSSL::Crypto;CURL::libcurl;zstd::libzstd_shared;ZLIB::ZLIB;Threads::Threads;m;dl")
