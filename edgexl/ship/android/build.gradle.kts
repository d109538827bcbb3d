// {name} {version} as an Android library: `gradle :{name}:publish` writes its AAR in a Maven layout, into build/maven.
plugins {
    id("com.android.library")
    id("maven-publish")
}

group = "{name}"
version = "{version}"

android {
    namespace = "{module}"
    compileSdk = 35
    defaultConfig {
        minSdk = 24
        consumerProguardFiles("consumer-rules.pro")
        testInstrumentationRunner = "{module}.Proof"
        ndk { abiFilters += listOf("arm64-v8a", "armeabi-v7a", "x86_64") }
    }
    externalNativeBuild { cmake { path = file("src/main/cpp/CMakeLists.txt") } }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    androidResources { noCompress += "exl" }
    publishing { singleVariant("release") }
}

dependencies {
    compileOnly("org.jetbrains:annotations:24.1.0")
}

publishing {
    publications {
        register<MavenPublication>("release") {
            artifactId = "{name}-android"
            afterEvaluate { from(components["release"]) }
        }
    }
    repositories { maven { url = uri(layout.buildDirectory.dir("maven")) } }
}
