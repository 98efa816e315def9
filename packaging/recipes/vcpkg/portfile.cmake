# Not tried: vcpkg cannot be had where this was written. STEADFAST_ARCHIVE names the archive that `make dist` makes.
if(NOT DEFINED ENV{STEADFAST_ARCHIVE})
  message(FATAL_ERROR "STEADFAST_ARCHIVE names no steadfast-${VERSION}.tar.gz")
endif()
vcpkg_extract_source_archive(SOURCE_PATH ARCHIVE "$ENV{STEADFAST_ARCHIVE}")
find_program(CARGO cargo HINTS "$ENV{CARGO_HOME}/bin" "$ENV{HOME}/.cargo/bin" REQUIRED)
vcpkg_execute_required_process(
  COMMAND make install "CARGO=${CARGO}" "DESTDIR=${CURRENT_PACKAGES_DIR}" PREFIX=/
  WORKING_DIRECTORY "${SOURCE_PATH}"
  LOGNAME "install-${TARGET_TRIPLET}")
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/bin" "${CURRENT_PACKAGES_DIR}/share")
if(VCPKG_LIBRARY_LINKAGE STREQUAL "static")
  file(GLOB SHARED "${CURRENT_PACKAGES_DIR}/lib/libsteadfast.so*")
  file(REMOVE ${SHARED})
else()
  file(REMOVE "${CURRENT_PACKAGES_DIR}/lib/libsteadfast.a")
endif()
vcpkg_fixup_pkgconfig()
set(VCPKG_POLICY_MISMATCHED_NUMBER_OF_BINARIES enabled)
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
