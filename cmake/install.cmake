# What `cmake --install` puts where, besides the binary: units, configuration, man pages, documents;
# and the Debian package (./dev package).

# For /usr the configuration belongs into /etc; below any other prefix it stays inside the prefix.
if(CMAKE_INSTALL_PREFIX STREQUAL "/usr" OR CMAKE_INSTALL_PREFIX STREQUAL "/")
    set(config_directory /etc/millrace)
else()
    set(config_directory ${CMAKE_INSTALL_SYSCONFDIR}/millrace)
endif()

if(EXISTS ${PROJECT_SOURCE_DIR}/conf/millrace.yaml)
    install(FILES conf/millrace.yaml DESTINATION ${config_directory})
endif()
if(EXISTS ${PROJECT_SOURCE_DIR}/conf/examples)
    install(DIRECTORY conf/examples DESTINATION ${CMAKE_INSTALL_DOCDIR}
        FILES_MATCHING PATTERN "*.yaml")
endif()
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

# systemd looks below /usr/lib and /usr/local/lib, never below a multiarch directory. A name ending in
# .in has @CMAKE_INSTALL_FULL_BINDIR@ filled in.
function(install_systemd pattern destination)
    file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/systemd/${pattern}
        ${PROJECT_SOURCE_DIR}/systemd/${pattern}.in)
    foreach(file ${files})
        if(file MATCHES "\\.in$")
            get_filename_component(name ${file} NAME_WLE)
            configure_file(${file} ${PROJECT_BINARY_DIR}/systemd/${name} @ONLY)
            set(file ${PROJECT_BINARY_DIR}/systemd/${name})
        endif()
        get_filename_component(name ${file} NAME)
        string(REGEX REPLACE "\\.(sysusers|tmpfiles)$" ".conf" name ${name}) # all that systemd reads
        install(FILES ${file} DESTINATION ${destination} RENAME ${name})
    endforeach()
endfunction()
install_systemd("*.service" lib/systemd/system)
install_systemd("*.socket" lib/systemd/system)
install_systemd("*.sysusers" lib/sysusers.d)
install_systemd("*.tmpfiles" lib/tmpfiles.d)

# docs/man/millrace.1.scd -> man1/millrace.1. The options of millrace.yaml(5) are what the program says.
find_program(SCDOC scdoc)
file(GLOB manuals CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/docs/man/*.scd)
if(SCDOC AND TARGET millrace)
    foreach(source ${manuals})
        get_filename_component(name ${source} NAME_WLE)
        string(REGEX REPLACE "^.*\\." "" section ${name})
        set(page ${PROJECT_BINARY_DIR}/man/${name})
        set(text "cat '${source}'")
        set(options_awk ${PROJECT_SOURCE_DIR}/docs/man/options.awk)
        if(name STREQUAL "millrace.yaml.5")
            set(text "${text} && '$<TARGET_FILE:millrace>' config explain | awk -f '${options_awk}'")
        endif()
        add_custom_command(OUTPUT ${page}
            COMMAND ${CMAKE_COMMAND} -E make_directory ${PROJECT_BINARY_DIR}/man
            COMMAND sh -c "{ ${text}; } | '${SCDOC}' > '${page}'"
            DEPENDS ${source} ${options_awk} millrace VERBATIM)
        list(APPEND pages ${page})
        install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endforeach()
    add_custom_target(manuals ALL DEPENDS ${pages})
elseif(manuals)
    message(STATUS "scdoc was not found: no man pages")
endif()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME millrace)
set(CPACK_PACKAGE_CONTACT "millrace maintainers")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "collects logs, keeps them in a Kafka-speaking log, forwards them")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
file(WRITE ${PROJECT_BINARY_DIR}/debian/conffiles "/etc/millrace/millrace.yaml\n")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/cmake/debian/postinst)
if(EXISTS ${PROJECT_SOURCE_DIR}/conf/millrace.yaml)
    list(APPEND CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_BINARY_DIR}/debian/conffiles)
endif()
set(CPACK_STRIP_FILES ON)
include(CPack)
