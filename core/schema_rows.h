/* Makes the lines of a .def file (core/schema.h) the rows of a vg_schema_field table; VG_SCHEMA_STRUCT names
 * the struct. Included again for every table, so there is no include guard. */
#undef VG_TOP
#undef VG_FIELD
#undef VG_ALIAS
#undef VG_BEGIN
#undef VG_END

#define VG_TOP(name, type, initial, allowed, unit, help)                                                     \
    {#name, VG_FIELD_##type, offsetof(VG_SCHEMA_STRUCT, name), initial, allowed, unit, help},
#define VG_FIELD(section, name, type, initial, allowed, unit, help)                                          \
    {#section "." #name,                                                                                     \
     VG_FIELD_##type,                                                                                        \
     offsetof(VG_SCHEMA_STRUCT, section.name),                                                               \
     initial,                                                                                                \
     allowed,                                                                                                \
     unit,                                                                                                   \
     help},
#define VG_ALIAS(section, alias, name)                                                                       \
    {#section "." #alias, VG_FIELD_ALIAS, 0, #section "." #name, "", "", ""},
#define VG_BEGIN(section, help) {#section, VG_FIELD_SECTION, 0, "", "", "", help},
#define VG_END(name)
