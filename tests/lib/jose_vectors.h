/* The examples of the RFCs on signed tokens: a public key, a token that it has signed, what is in
 * it. */
#ifndef TESTS_LIB_JOSE_VECTORS_H
#define TESTS_LIB_JOSE_VECTORS_H

struct jose_vector {
    const char *name;
    const char *key; /* a JWK */
    const char *token;
    const char *payload;
};

static const struct jose_vector jose_vectors[] = {
    {"RFC 7515, A.2: RS256",
     "{\042kty\042:\042RSA\042,\042n\042:\042ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJ"
     "cyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCg"
     "NMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbB"
     "YUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5I"
     "hlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpo"
     "Q\042,\042e\042:\042AQAB\042}",
     "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA"
     "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat"
     "0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t"
     "1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07"
     "Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnv"
     "Wh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77"
     "Rw",
     "{\042iss\042:\042joe\042,\015\012 \042exp\042:1300819380,\015\012 \042http:/"
     "/example.com/is_root\042:true}"},
    {"RFC 7515, A.3: ES256",
     "{\042kty\042:\042EC\042,\042crv\042:\042P-256\042,\042x\042:\042f83OJ3D2xF1B"
     "g8vub9tLe1gHMzV76e8Tus9uPHvRVEU\042,\042y\042:\042x_FEzRu9m36HLN_tue659LNpXW"
     "6pCyStikYjKIWI5a0\042}",
     "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA"
     "6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4Ga"
     "wxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
     "{\042iss\042:\042joe\042,\015\012 \042exp\042:1300819380,\015\012 \042http:/"
     "/example.com/is_root\042:true}"},
    {"RFC 7515, A.4: ES512",
     "{\042kty\042:\042EC\042,\042crv\042:\042P-521\042,\042x\042:\042AekpBQ8ST8a8"
     "VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk"
     "\042,\042y\042:\042ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly"
     "79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2\042}",
     "eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA.AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cw"
     "nZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8GaSwFKdCAPZgoXD2YBJZCPEX3xKpR"
     "wcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn",
     "Payload"},
    {"RFC 8037, A.4: EdDSA",
     "{\042kty\042:\042OKP\042,\042crv\042:\042Ed25519\042,\042x\042:\04211qYAYKxC"
     "rfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\042}",
     "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnL"
     "WG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
     "Example of Ed25519 signing"},
    {"RFC 7520, 4.1: RS256",
     "{\042kty\042:\042RSA\042,\042kid\042:\042bilbo.baggins@hobbiton.example\042,"
     "\042use\042:\042sig\042,\042n\042:\042n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8"
     "_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_"
     "NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E"
     "6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3"
     "L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"
     "\042,\042e\042:\042AQAB\042}",
     "eyJhbGciOiJSUzI1NiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXT"
     "igJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW9"
     "1IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGh"
     "lcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.MRjdkly"
     "7_-oTPTS3AXP41iQIGKa80A0ZmTuV5MEaHoxnW2e5CZ5NlKtainoFmKZopdHM1O2U4mwzJdQx996"
     "ivp83xuglII7PNDi84wnB-BDkoBwA78185hX-Es4JIwmDLJK3lfWRa-XtL0RnltuYv746iYTh_qH"
     "RD68BNt1uSNCrUCTJDt5aAE6x8wW1Kt9eRo4QPocSadnHXFxnt8Is9UzpERV0ePPQdLuW3IS_de3"
     "xyIrDaLGdjluPxUAhb6L2aXic1U12podGU0KLUQSE_oI-ZnmKJ3F4uOZDnd6QZWJushZ41Axf_fc"
     "Ie8u9ipH84ogoree7vjbU5y18kDquDg",
     "It\342\200\231s a dangerous business, Frodo, going out your door. You step o"
     "nto the road, and if you don't keep your feet, there\342\200\231s no knowing"
     " where you might be swept off to."},
    {"RFC 7520, 4.2: PS384",
     "{\042kty\042:\042RSA\042,\042kid\042:\042bilbo.baggins@hobbiton.example\042,"
     "\042use\042:\042sig\042,\042n\042:\042n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8"
     "_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwGU_"
     "NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E"
     "6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3uhGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3"
     "L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHdrNP5zw"
     "\042,\042e\042:\042AQAB\042}",
     "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXT"
     "igJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW9"
     "1IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGh"
     "lcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.cu22eBq"
     "kYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDq"
     "HCdP6O8TTB5dDDItllVo6_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8"
     "ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm8d9shnr2lfJT8ImUjvAA2Xez2"
     "Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6"
     "GYmJUAfmWjwZ6oD4ifKo8DYM-X72Eaw",
     "It\342\200\231s a dangerous business, Frodo, going out your door. You step o"
     "nto the road, and if you don't keep your feet, there\342\200\231s no knowing"
     " where you might be swept off to."},
    {"RFC 7520, 4.3: ES512",
     "{\042kty\042:\042EC\042,\042kid\042:\042bilbo.baggins@hobbiton.example\042,"
     "\042use\042:\042sig\042,\042crv\042:\042P-521\042,\042x\042:\042AHKZLLOsCOzz"
     "5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt"
     "\042,\042y\042:\042AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsU"
     "daQkAgDPrwQrJmbnX9cwlGfP-HqHZR1\042}",
     "eyJhbGciOiJFUzUxMiIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9.SXT"
     "igJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW9"
     "1IHN0ZXAgb250byB0aGUgcm9hZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGh"
     "lcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZXB0IG9mZiB0by4.AE_R_YZ"
     "CChjn4791jSQCrdPZCNYqHXCTZH0-JZGYNlaAjP2kqaluUIIUnC9qvbu9Plon7KRTzoNEuT4Va2c"
     "mL1eJAQy3mtPBu_u_sDDyYjnAMDxXPn7XrT0lw-kvAD890jl8e2puQens_IEKBpHABlsbEPX6sFY"
     "8OcGDqoRuBomu9xQ2",
     "It\342\200\231s a dangerous business, Frodo, going out your door. You step o"
     "nto the road, and if you don't keep your feet, there\342\200\231s no knowing"
     " where you might be swept off to."},
};

/* RFC 7515, A.1: signed with a shared secret. */
static const char jose_hmac_token[] =
    "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA"
    "4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB9"
    "2K27uhbUJU1p1r_wW1gFWFOEjXk";

#endif
